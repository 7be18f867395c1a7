# A fleet in virtual machines: the server's and the agent's modules on real NixOS,
# and the whole product once, with its imitated github.com.
{ self, pkgs }:
pkgs.testers.runNixOSTest {
  name = "nixfleet";

  nodes.server = {
    imports = [ self.nixosModules.server ];
    services.nixfleet = {
      enable = true;
      listen = "0.0.0.0:8080";
      url = "http://server:8080";
      natsListen = "0.0.0.0:4222";
      openFirewall = true;
      adminTokenFile = "/etc/nixfleet-admin";
    };
    networking.firewall.allowedTCPPorts = [ 8080 ];
    environment.etc."nixfleet-admin" = { text = "a-token-of-the-test-and-of-nothing-else"; mode = "0400"; };
    environment.systemPackages = [ pkgs.curl pkgs.git pkgs.nix pkgs.postgresql ];
    virtualisation = { memorySize = 4096; cores = 2; diskSize = 8192; };
  };

  nodes.web1 = {
    imports = [ self.nixosModules.agent ];
    services.nixfleet-agent = {
      enable = true;
      server = "http://server:8080";
      tokenFile = "/etc/nixfleet-token";
    };
    environment.etc."nixfleet-token" = { text = "not-the-right-token"; mode = "0400"; };
  };

  testScript = ''
    start_all()

    with subtest("the server is up, on its own Postgres and NATS"):
        server.wait_for_unit("nixfleet.service")
        server.wait_for_open_port(8080)
        server.wait_until_succeeds("curl --fail --silent http://server:8080/readyz", timeout=60)

    with subtest("it is confined, and its secrets are credentials"):
        server.succeed("test $(systemd-analyze security --no-pager nixfleet.service | tail -1 | grep -o '[0-9][0-9]*' | head -1) -le 3")
        server.fail("systemctl show -p Environment nixfleet.service | grep a-token-of-the-test")
        server.succeed("NIXFLEET_TOKEN=a-token-of-the-test-and-of-nothing-else nixfleet hosts --json")

    with subtest("its state survives a restart"):
        server.succeed("systemctl restart nixfleet.service")
        server.wait_until_succeeds("curl --fail --silent http://server:8080/readyz", timeout=60)

    with subtest("an agent with a token that is not valid says so and keeps trying"):
        web1.wait_until_succeeds("journalctl -u nixfleet-agent.service | grep -i token", timeout=120)
        web1.succeed("test $(systemctl show -p Restart --value nixfleet-agent.service) = always")
        web1.succeed("systemctl show -p ActiveState nixfleet-agent-resume.service")

    with subtest("an update goes from pull request to switched hosts"):
        server.succeed("cd /tmp && nixfleet demo --hosts 3 --hold 1s --addr 127.0.0.1:8090 --until-deployed --json >&2", timeout=600)
  '';
}
