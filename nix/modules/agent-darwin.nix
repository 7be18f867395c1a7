# services.nixfleet-agent on nix-darwin: a daemon of the system's domain. An agent
# of a person's session would be cut short by the activation that it started.
{ self }:
{ config, lib, pkgs, ... }:
let
  cfg = config.services.nixfleet-agent;
  table = import ../settings/agent.nix;
  settings = import ../settings/options.nix { inherit lib; };
  stateDir = "/var/lib/nixfleet-agent";
in
{
  options.services.nixfleet-agent = import ./agent-options.nix { inherit self lib pkgs; };

  config = lib.mkIf cfg.enable {
    assertions = [{
      assertion = cfg.tokenFile == null || cfg.server != null;
      message = "services.nixfleet-agent.tokenFile is a token of some server: set services.nixfleet-agent.server, too.";
    }];

    environment.systemPackages = [ cfg.package ];

    launchd.daemons.nixfleet-agent = {
      # `command` waits for the store to be mounted; ProgramArguments would not.
      command = toString (import ./agent-start.nix {
        inherit lib pkgs cfg stateDir;
        tokenFile = if cfg.tokenFile == null then null else lib.escapeShellArg cfg.tokenFile;
      });
      path = [ config.nix.package pkgs.git pkgs.openssh "/usr/bin" "/bin" "/usr/sbin" "/sbin" ];
      environment = settings.environment table cfg // {
        NIXFLEET_AGENT_STATE_DIR = stateDir;
        NIXFLEET_PLATFORM = "darwin";
        NIX_REMOTE = "daemon";
      };
      serviceConfig = {
        Label = "org.nixfleet.agent";
        RunAtLoad = true;
        KeepAlive = true;
        ThrottleInterval = 5;
        # A switch goes on when launchd replaces the agent that began it.
        AbandonProcessGroup = true;
        ProcessType = "Background";
        Umask = 63; # 0077
        StandardOutPath = "/var/log/nixfleet-agent.log";
        StandardErrorPath = "/var/log/nixfleet-agent.log";
      };
    };
  };
}
