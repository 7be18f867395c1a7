# Nine machines in three roles, small enough to build anywhere without nixpkgs.
# What a host needs of NixOS is here in little: a system closure with a working
# bin/switch-to-configuration.
{
  description = "Nine machines in three roles";

  inputs.motd.url = "git+@GITHUB@/demo/motd.git?ref=main";
  inputs.services.url = "git+@GITHUB@/demo/services.git?ref=main";

  outputs = { self, motd, services }:
    let
      hosts = builtins.fromJSON (builtins.readFile ./hosts.json);

      system = name: role: derivation {
        name = "nixos-system-${name}";
        system = "@SYSTEM@";
        builder = "/bin/sh";
        args = [ ./build.sh ];
        inherit role;
        host = name;
        motd = motd.text;
        version = services.version;
        packages = builtins.concatStringsSep "\n" services.packages.${role};
        fails = if builtins.elem name services.broken then "yes" else "";
        revision = self.rev or "dirty";
      };
    in
    {
      nixosConfigurations = builtins.mapAttrs
        (name: role: { config.system.build.toplevel = system name role; })
        hosts;
    };
}
