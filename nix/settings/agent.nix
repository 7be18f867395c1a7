# The settings of `nixfleet-agent run`, by environment variable: the option of
# services.nixfleet-agent that sets it, its kind, and what it is for. A test
# compares this table with the program's own settings, so none is missing. The
# kinds are those of server.nix.
{
  NIXFLEET_PROFILE = {
    option = "profile";
    kind = "path";
    doc = "Profile to switch, where it is not the platform's own.";
    example = "/nix/var/nix/profiles/system";
  };
  NIXFLEET_CURRENT_SYSTEM = {
    option = "currentSystem";
    kind = "path";
    doc = "Link to the running system, where it is not the platform's own.";
    example = "/run/current-system";
  };
  NIXFLEET_BOOTED_SYSTEM = {
    option = "bootedSystem";
    kind = "path";
    doc = "Link to the booted system, where it is not the platform's own.";
    example = "/run/booted-system";
  };
  NIXFLEET_NIX_DIR = {
    option = "nixDir";
    kind = "path";
    doc = "Directory of nix and nix-env, where they are not those of the system.";
    example = "/run/current-system/sw/bin";
  };
  NIXFLEET_GIT_PROTOCOLS = {
    option = "gitProtocols";
    kind = "list";
    doc = "Protocols that git may use.";
    example = [ "https" "ssh" ];
  };
  NIXFLEET_SWITCH_IN_SESSION = {
    option = "switchInSession";
    kind = "flag";
    doc = "Run switches in a session of their own even where systemd could hold them.";
    example = true;
  };
}
