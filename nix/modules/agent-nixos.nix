# services.nixfleet-agent on NixOS.
#
# The agent switches the system that it is part of. So a switch neither stops nor
# restarts it (it restarts itself once the switch is decided), and the activation
# runs in a transient unit of its own, which these settings don't reach.
{ self }:
{ config, lib, pkgs, utils, ... }:
let
  cfg = config.services.nixfleet-agent;
  table = import ../settings/agent.nix;
  settings = import ../settings/options.nix { inherit lib; };
  stateDir = "/var/lib/nixfleet-agent";
  environment = settings.environment table cfg // {
    NIXFLEET_AGENT_STATE_DIR = stateDir;
    NIXFLEET_PLATFORM = "nixos";
    # Builds belong to the daemon and its sandbox; the agent only asks for them.
    NIX_REMOTE = "daemon";
    XDG_CACHE_HOME = "/var/cache/nixfleet-agent";
    HOME = "/root"; # where root's ssh keys and git credentials are
  };
  programs = [ config.nix.package pkgs.git pkgs.openssh config.systemd.package pkgs.coreutils ];
in
{
  options.services.nixfleet-agent = import ./agent-options.nix { inherit self lib pkgs; };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.tokenFile == null || cfg.server != null;
        message = "services.nixfleet-agent.tokenFile is a token of some server: set services.nixfleet-agent.server, too.";
      }
      {
        assertion = cfg.switchInSession != true;
        message = "services.nixfleet-agent.switchInSession would confine each switch as this service is, and end it with it: leave it out.";
      }
    ];

    nix.settings.experimental-features = [ "nix-command" "flakes" ];

    # In the system's closure under a fixed name, so that the agent can see whether
    # a new system brings a new agent.
    environment.systemPackages = [ cfg.package ];

    systemd.services.nixfleet-agent = {
      description = "NixFleet agent";
      documentation = [ "https://github.com/nixfleet/nixfleet" ];
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" "nix-daemon.socket" "nixfleet-agent-resume.service" ];
      restartIfChanged = false;
      stopIfChanged = false;
      unitConfig.X-StopOnRemoval = false; # the last switch of a fleet must be able to end
      path = programs;
      inherit environment;
      serviceConfig = {
        ExecStart = import ./agent-start.nix {
          inherit lib pkgs cfg stateDir;
          # Read in place: a credential that is gone would keep the service from
          # starting, and the token is of use only once.
          tokenFile = if cfg.tokenFile == null then null else lib.escapeShellArg cfg.tokenFile;
        };
        StateDirectory = "nixfleet-agent";
        StateDirectoryMode = "0700";
        CacheDirectory = "nixfleet-agent";
        CacheDirectoryMode = "0700";
        Restart = "always";
        RestartSec = 5;
        TimeoutStopSec = 30;
        OOMScoreAdjust = -500; # a build of its own must not take it down
        Nice = 5;

        # It asks systemd, the Nix daemon and git to do things; by itself it writes
        # nothing but its state. Root it stays: it starts transient units, reboots,
        # and reads what only root may see of failed units.
        CapabilityBoundingSet = [ "CAP_DAC_READ_SEARCH" "CAP_KILL" "CAP_SYS_BOOT" "CAP_SYS_NICE" ];
        DevicePolicy = "closed";
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = "read-only";
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_UNIX" "AF_NETLINK" ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };

    # A switch that a crash of the machine cut short is taken to its end, with or
    # without a network or an agent that works. It activates systems, so it is not
    # confined.
    systemd.services.nixfleet-agent-resume = {
      description = "NixFleet agent: end a switch that was cut short";
      wantedBy = [ "multi-user.target" ];
      after = [ "local-fs.target" "nix-daemon.socket" ];
      before = [ "nixfleet-agent.service" ];
      restartIfChanged = false;
      # The system that it goes back to may not have this unit: its activation must
      # not stop itself.
      unitConfig.X-StopOnRemoval = false;
      path = programs;
      inherit environment;
      serviceConfig = {
        # The agent starts beside it: its word that all is well may end the wait.
        Type = "exec";
        ExecStart = "${lib.getExe cfg.package} resume";
        # As the transient unit of a switch: the activation outlives its supervisor,
        # and another supervisor takes it to its end.
        KillMode = "process";
        Restart = "on-failure";
        StateDirectory = "nixfleet-agent";
        StateDirectoryMode = "0700";
      };
    };
  };
}
