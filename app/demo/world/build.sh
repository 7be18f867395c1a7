# Builds one host's system closure. Nix runs it with the derivation's attributes
# in the environment.
set -eu
PATH=/usr/local/bin:/usr/bin:/bin:/run/current-system/sw/bin
mkdir -p "$out/bin" "$out/etc"
echo "building the system of $host, role $role, services $version"
for package in $packages; do echo "  $package"; done
sleep @BUILD_SECONDS@ # as long as a small compilation
echo "$version" >"$out/nixos-version"
echo "$motd" >"$out/etc/motd"
echo "$packages" >"$out/etc/packages"
for part in kernel initrd kernel-modules; do echo "linux 6.12" >"$out/$part"; done
printf '{"configurationRevision":"%s","nixosVersion":"%s"}\n' "$revision" "$version" >"$out/nixos-version.json"
cat >"$out/bin/switch-to-configuration" <<SCRIPT
#!/bin/sh
# NixOS' own script in little: flips the running system, then restarts units.
set -eu
case "\${1:-}" in
switch | test) ;;
boot | dry-activate) exit 0 ;;
*) echo "usage: switch-to-configuration switch|boot|test|dry-activate" >&2; exit 1 ;;
esac
echo "activating the configuration..."
link=\${NIXFLEET_CURRENT_SYSTEM:-/run/current-system}
mkdir -p "\$(dirname "\$link")"
ln -sfn "$out" "\$link.new" && mv -T "\$link.new" "\$link"
echo "\$1 $out" >>"\$(dirname "\$link")/activations"
if [ -n "$fails" ]; then
	echo "starting the following units: $role.service"
	echo "warning: the following units failed: $role.service" >&2
	exit 4
fi
echo "restarting the following units: $role.service"
SCRIPT
chmod 555 "$out/bin/switch-to-configuration"
