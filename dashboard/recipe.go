package dashboard

import (
	"net"
	"net/url"
	"strings"
)

// recipe is how a machine is brought into the fleet, in words to be copied.
type recipe struct {
	Platform string // nixos, darwin or home
	Server   string
	Name     string
	Token    string
}

// tokenFiles are where the module finds the token, as Nix and as a shell write it.
var tokenFiles = map[string]struct{ nix, shell string }{
	"nixos":  {`"/var/lib/nixfleet-token"`, "/var/lib/nixfleet-token"},
	"darwin": {`"/etc/nixfleet-token"`, "/etc/nixfleet-token"},
	"home":   {`"${config.home.homeDirectory}/.nixfleet-token"`, "~/.nixfleet-token"},
}

// moduleOf is the module of a platform, as our flake calls it.
var moduleOf = map[string]string{"nixos": "nixosModules.agent", "darwin": "darwinModules.agent", "home": "homeModules.agent"}

// Place puts the token where the module looks for it, readable by its owner only.
func (r recipe) Place() string {
	file := tokenFiles[r.Platform].shell
	if r.Platform == "home" {
		return "(umask 077; printf '%s\\n' " + quoted(r.Token) + " > " + file + ")"
	}
	return "(umask 077; printf '%s\\n' " + quoted(r.Token) + " | sudo tee " + file + " > /dev/null)"
}

// Enroll enrols without a module. The token goes through standard input, since others on
// the machine can see a program's arguments.
func (r recipe) Enroll() string {
	program := "sudo nixfleet-agent"
	if r.Platform == "home" {
		program = `nixfleet-agent --state-dir "${XDG_STATE_HOME:-$HOME/.local/state}/nixfleet-agent"`
	}
	return "printf '%s\\n' " + quoted(r.Token) + " | " + program + " enroll --server " + quoted(r.Server) + " --host " + quoted(r.Name) + " --token-file -"
}

// Input is what the flake takes in.
func (recipe) Input() string {
	return "inputs.nixfleet.url = \"github:nixfleet/nixfleet\";\ninputs.nixfleet.inputs.nixpkgs.follows = \"nixpkgs\";\n"
}

// Module is what goes among the modules of the host's configuration.
func (r recipe) Module() string {
	open := "{"
	if r.Platform == "home" {
		open = "({ config, ... }: {"
	}
	return "nixfleet." + moduleOf[r.Platform] + "\n" + open + `
  services.nixfleet-agent = {
    enable = true;
    server = ` + nixString(r.Server) + `;
    host = ` + nixString(r.Name) + `;
    tokenFile = ` + tokenFiles[r.Platform].nix + `;
  };
` + strings.Replace(strings.Replace(open, "({ config, ... }: {", "})", 1), "{", "}", 1) + "\n"
}

// Insecure reports whether the agent refuses the server's address as it stands: over
// plain HTTP to another machine the token could be read on the way.
func (r recipe) Insecure() bool {
	u, err := url.Parse(r.Server)
	if err != nil || u.Scheme == "https" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
}

// quoted is a word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// nixString is a string of Nix.
func nixString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `${`, `\${`, "\n", `\n`, "\r", `\r`).Replace(s) + `"`
}
