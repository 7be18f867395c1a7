# The script that enrols this machine if it is not, and then is the agent.
{ lib, pkgs, cfg, stateDir, tokenFile }:
let
  agent = "${lib.getExe cfg.package} --state-dir ${lib.escapeShellArg stateDir}";
  enroll = lib.concatStringsSep " " ([ agent "enroll" "--server" (lib.escapeShellArg cfg.server) "--token-file" tokenFile ]
    ++ lib.optionals (cfg.host != null) [ "--host" (lib.escapeShellArg cfg.host) ]);
in
pkgs.writeShellScript "nixfleet-agent-start" ''
  set -eu
  ${lib.optionalString (cfg.server != null && tokenFile != null) ''
    if [ ! -e ${lib.escapeShellArg stateDir}/identity.json ]; then
      ${enroll}
    fi
  ''}
  exec ${agent} run
''
