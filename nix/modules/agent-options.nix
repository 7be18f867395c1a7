# The options of services.nixfleet-agent, which are the same on every platform.
{ self, lib, pkgs }:
let
  settings = import ../settings/options.nix { inherit lib; };
in
lib.recursiveUpdate (settings.options (import ../settings/agent.nix)) {
  enable = lib.mkEnableOption "the NixFleet agent, which keeps this machine at the commit that its fleet orders";

  package = lib.mkOption {
    type = lib.types.package;
    default = self.packages.${pkgs.stdenv.hostPlatform.system}.nixfleet-agent;
    defaultText = lib.literalExpression "nixfleet.packages.\${system}.nixfleet-agent";
    description = "The agent to run.";
  };

  server = lib.mkOption {
    type = lib.types.nullOr lib.types.str;
    default = null;
    example = "https://fleet.example.com";
    description = "Address of the server, with which the agent enrols when it has not yet. Without it, enrol by hand with `nixfleet-agent enroll`.";
  };

  tokenFile = lib.mkOption {
    type = lib.types.nullOr (lib.types.pathWith { inStore = false; });
    default = null;
    example = "/run/secrets/nixfleet-token";
    description = "File with the one-time token that `nixfleet hosts enroll` printed. It is read once; later it may be gone.";
  };

  host = lib.mkOption {
    type = lib.types.nullOr lib.types.str;
    default = null;
    example = "web1";
    description = "Name of this machine in the fleet; default is its host name.";
  };
}
