{
  description = "NixFleet: proves flake.lock updates, merges them, and brings them to your hosts in waves";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});

      # Of the Go modules that go.mod names; `make vendor-hash` writes it anew.
      vendorHash = lib.fileContents ./nix/vendor-hash;
      revision = self.shortRev or self.dirtyShortRev or "dev";
      build = pkgs: program: pkgs.callPackage ./nix/package.nix {
        buildGoModule = pkgs.buildGo126Module or pkgs.buildGoModule;
        inherit program revision vendorHash;
      };
    in
    {
      packages = eachSystem (pkgs: rec {
        nixfleet = build pkgs "nixfleet";
        nixfleet-agent = build pkgs "nixfleet-agent";
        default = nixfleet;
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          # What `make run` and `make test` call for.
          packages = [ (pkgs.go_1_26 or pkgs.go) pkgs.gnumake pkgs.gcc pkgs.git pkgs.nix pkgs.postgresql ]
            ++ lib.optionals pkgs.stdenv.hostPlatform.isLinux [ pkgs.chromium pkgs.iproute2 pkgs.util-linux ];
        };
      });

      nixosModules = {
        server = import ./nix/modules/server.nix { inherit self; };
        agent = import ./nix/modules/agent-nixos.nix { inherit self; };
      };
      darwinModules.agent = import ./nix/modules/agent-darwin.nix { inherit self; };
      homeModules.agent = import ./nix/modules/agent-home.nix { inherit self; };

      checks = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: {
        fleet = import ./nix/checks/fleet.nix { inherit self; pkgs = nixpkgs.legacyPackages.${system}; };
      });

      formatter = eachSystem (pkgs: pkgs.nixpkgs-fmt);
    };
}
