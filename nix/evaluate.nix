# What each module comes to, evaluated against the stand-in for lib: the input of a
# test, which compares it with nix/testdata.
let
  lib = import ./lib.nix;

  fake = name: { type = "derivation"; outPath = "/nix/store/${name}"; meta.mainProgram = name; };
  pkgsFor = linux: {
    stdenv.hostPlatform = { system = if linux then "x86_64-linux" else "aarch64-darwin"; isLinux = linux; isDarwin = !linux; };
    writeShellScript = name: text: { type = "derivation"; outPath = "/nix/store/${name}"; meta.mainProgram = name; inherit text; };
  } // lib.genAttrs [ "git" "openssh" "coreutils" "nix" "systemd" "postgresql" ] fake;
  self.packages = lib.genAttrs [ "x86_64-linux" "aarch64-darwin" ] (_: {
    nixfleet = fake "nixfleet";
    nixfleet-agent = fake "nixfleet-agent";
  });

  around = {
    nix.package = fake "nix";
    systemd.package = fake "systemd";
    xdg.stateHome = "/home/alice/.local/state";
  };
  module = file: import (./modules + "/${file}.nix") { inherit self; };
  eval = { file, linux ? true, services }: lib.evalModule (module file) {
    given = { inherit services; };
    inherit around;
    pkgs = pkgsFor linux;
    args.utils = { };
  };

  # Derivations as their path and, for scripts, their text.
  shown = v:
    if builtins.isAttrs v && v ? outPath then v.text or v.outPath
    else if builtins.isAttrs v then builtins.mapAttrs (_: shown) v
    else if builtins.isList v then map shown v
    else v;

  # The flake, with what it takes of nixpkgs.
  flake =
    let
      pkgs = pkgsFor true // lib.genAttrs [ "go" "gnumake" "gcc" "chromium" "iproute2" "util-linux" "nixpkgs-fmt" "installShellFiles" ] fake // {
        buildGoModule = build: build;
        callPackage = file: given: import file ({ inherit lib; inherit (pkgs) installShellFiles; stdenv = pkgs.stdenv // { buildPlatform.canExecute = _: true; }; } // given);
        mkShell = shell: shell;
        testers.runNixOSTest = check: { inherit (check) name; };
      };
      outputs = (import ../flake.nix).outputs {
        self = outputs // { shortRev = "abc1234"; };
        nixpkgs = {
          inherit lib;
          legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ] (_: pkgs);
        };
      };
      here = "x86_64-linux";
      systems = builtins.attrNames;
    in
    {
      names = builtins.attrNames outputs;
      systems = systems outputs.packages;
      packages = builtins.mapAttrs (_: p: { inherit (p) pname version subPackages ldflags postInstall; cgo = p.env.CGO_ENABLED; program = p.meta.mainProgram; })
        outputs.packages.${here};
      shell = outputs.devShells.${here}.default.packages;
      checks = builtins.mapAttrs (_: builtins.mapAttrs (_: c: c.name)) outputs.checks;
      modules = {
        nixos = builtins.attrNames outputs.nixosModules;
        darwin = builtins.attrNames outputs.darwinModules;
        home = builtins.attrNames outputs.homeModules;
      };
    };

  joined = { enable = true; server = "https://fleet.example.com"; tokenFile = "/run/secrets/token"; host = "web1"; };
in
builtins.mapAttrs (_: shown) {
  inherit flake;
  server-plain = eval { file = "server"; services.nixfleet.enable = true; };
  server-full = eval {
    file = "server";
    services.nixfleet = {
      enable = true;
      url = "https://fleet.example.com";
      natsListen = "0.0.0.0:4222";
      openFirewall = true;
      databaseUrl = "postgres:///nixfleet";
      natsUrl = [ "tls://n1:4222" "tls://n2:4222" ];
      github = { appId = 7; privateKeyFile = "/run/secrets/key"; webhookSecretFile = "/run/secrets/hook"; };
      adminTokenFile = "/run/secrets/admin";
      logJson = true;
    };
  };
  server-off = eval { file = "server"; services.nixfleet = { }; };
  nixos = eval { file = "agent-nixos"; services.nixfleet-agent = joined // { gitProtocols = [ "https" ]; switchInSession = false; }; };
  nixos-by-hand = eval { file = "agent-nixos"; services.nixfleet-agent.enable = true; };
  nixos-token-alone = eval { file = "agent-nixos"; services.nixfleet-agent = { enable = true; tokenFile = "/run/secrets/token"; }; };
  darwin = eval { file = "agent-darwin"; linux = false; services.nixfleet-agent = joined; };
  home-linux = eval { file = "agent-home"; services.nixfleet-agent = joined; };
  home-darwin = eval { file = "agent-home"; linux = false; services.nixfleet-agent = joined; };
}
