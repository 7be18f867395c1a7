# services.nixfleet: the server, as a hardened service with a user of its own.
{ self }:
{ config, lib, pkgs, ... }:
let
  cfg = config.services.nixfleet;
  table = import ../settings/server.nix;
  settings = import ../settings/options.nix { inherit lib; };
in
{
  options.services.nixfleet = lib.recursiveUpdate (settings.options table) {
    enable = lib.mkEnableOption "the NixFleet server";

    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.nixfleet;
      defaultText = lib.literalExpression "nixfleet.packages.\${system}.nixfleet";
      description = "The server to run.";
    };

    postgresqlPackage = lib.mkOption {
      type = lib.types.package;
      default = pkgs.postgresql;
      defaultText = lib.literalExpression "pkgs.postgresql";
      description = "PostgreSQL for the private database, where no `databaseUrl` is given. A change of its major version needs the steps of docs/setup.md first.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Open the port of `natsListen` for agents. The web page is left to your reverse proxy.";
    };

    environment = lib.mkOption {
      type = lib.types.attrsOf lib.types.str;
      default = { };
      example = { HTTPS_PROXY = "http://proxy.example.com:3128"; };
      description = "Further environment of the service.";
    };
  };

  config = lib.mkIf cfg.enable {
    users.users.nixfleet = {
      isSystemUser = true;
      group = "nixfleet";
      description = "NixFleet server";
    };
    users.groups.nixfleet = { };

    # For `nixfleet doctor`, `hosts` and the other commands.
    environment.systemPackages = [ cfg.package ];

    networking.firewall.allowedTCPPorts =
      lib.optional (cfg.openFirewall && cfg.natsListen != null)
        (lib.toInt (lib.last (lib.splitString ":" cfg.natsListen)));

    systemd.services.nixfleet = {
      description = "NixFleet server";
      documentation = [ "https://github.com/nixfleet/nixfleet" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" "postgresql.service" ];
      path = lib.optional (cfg.databaseUrl == null) cfg.postgresqlPackage;
      environment = settings.environment table cfg // cfg.environment // {
        NIXFLEET_DATA_DIR = "/var/lib/nixfleet";
      };
      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} serve";
        LoadCredential = settings.credentials table cfg;
        User = "nixfleet";
        Group = "nixfleet";
        StateDirectory = "nixfleet";
        StateDirectoryMode = "0750";
        RuntimeDirectory = "nixfleet";
        Restart = "always";
        RestartSec = 2;
        TimeoutStopSec = 30; # work in hand is put down within ten, the private Postgres needs its time
        LimitNOFILE = 262144; # one connection for each host

        # What a server on the network needs, and nothing else.
        AmbientCapabilities = [ "" ];
        CapabilityBoundingSet = [ "" ];
        DevicePolicy = "closed";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        PrivateUsers = true;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_UNIX" ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [ "@system-service" "~@privileged" ];
        UMask = "0077";
      };
    };
  };
}
