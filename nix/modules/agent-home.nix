# services.nixfleet-agent in home-manager: the person's own agent, on Linux and macOS.
{ self }:
{ config, lib, pkgs, ... }:
let
  cfg = config.services.nixfleet-agent;
  table = import ../settings/agent.nix;
  settings = import ../settings/options.nix { inherit lib; };
  stateDir = "${config.xdg.stateHome}/nixfleet-agent";
  tools = [ (if config.nix.package == null then pkgs.nix else config.nix.package) pkgs.git pkgs.openssh ];
  environment = settings.environment table cfg // {
    NIXFLEET_AGENT_STATE_DIR = stateDir;
    NIXFLEET_PLATFORM = "home";
  };
  start = import ./agent-start.nix {
    inherit lib pkgs cfg stateDir;
    tokenFile = if cfg.tokenFile == null then null else lib.escapeShellArg cfg.tokenFile;
  };
in
{
  options.services.nixfleet-agent = import ./agent-options.nix { inherit self lib pkgs; };

  config = lib.mkIf cfg.enable {
    home.packages = [ cfg.package ];

    # A switch neither stops nor restarts the agent: it restarts itself.
    systemd.user.services.nixfleet-agent = lib.mkIf pkgs.stdenv.hostPlatform.isLinux {
      Unit = {
        Description = "NixFleet agent";
        After = [ "network-online.target" ];
        X-RestartIfChanged = false;
        X-SwitchMethod = "keep-old";
      };
      Service = {
        ExecStart = toString start;
        Environment = lib.mapAttrsToList (name: value: "${name}=${value}") (environment // {
          PATH = lib.makeBinPath (tools ++ [ pkgs.coreutils pkgs.systemd ]);
        });
        KillMode = "process"; # a switch under way is in a session of its own and goes on
        Restart = "always";
        RestartSec = 5;
        LockPersonality = true;
        NoNewPrivileges = true;
        RestrictRealtime = true;
        UMask = "0077";
      };
      Install.WantedBy = [ "default.target" ];
    };

    launchd.agents.nixfleet-agent = lib.mkIf pkgs.stdenv.hostPlatform.isDarwin {
      enable = true;
      config = {
        Label = "org.nixfleet.agent";
        ProgramArguments = [ "/bin/sh" "-c" "/bin/wait4path /nix/store && exec ${start}" ];
        EnvironmentVariables = environment // { PATH = "${lib.makeBinPath tools}:/usr/bin:/bin:/usr/sbin:/sbin"; };
        RunAtLoad = true;
        KeepAlive = true;
        ThrottleInterval = 5;
        AbandonProcessGroup = true;
        ProcessType = "Background";
        StandardOutPath = "${stateDir}/agent.log";
        StandardErrorPath = "${stateDir}/agent.log";
      };
    };
  };
}
