# The settings of `nixfleet serve`, by environment variable: the option of
# services.nixfleet that sets it, its kind, and what it is for. A test compares
# this table with the program's own settings, so none is missing.
#
# Kinds: text, path, number, flag, list (joined by commas), secret (a file that
# systemd hands to the service as a credential; it never enters the Nix store).
{
  NIXFLEET_LISTEN = {
    option = "listen";
    kind = "text";
    doc = "Address that the server listens on. Put a reverse proxy with TLS before it.";
    example = "127.0.0.1:8080";
  };
  NIXFLEET_URL = {
    option = "url";
    kind = "text";
    doc = "Public address of the server, for links, webhooks and agents.";
    example = "https://fleet.example.com";
  };
  NIXFLEET_DATABASE_URL = {
    option = "databaseUrl";
    kind = "text";
    doc = "Address of a Postgres database. Without it the server runs a private Postgres in its state directory. A password does not belong here: use a socket, or PGPASSFILE in `environment`.";
    example = "postgres:///nixfleet?host=/run/postgresql";
  };
  NIXFLEET_NATS_URL = {
    option = "natsUrl";
    kind = "list";
    doc = "Addresses of a NATS cluster. Without it the server runs NATS in its own process.";
    example = [ "tls://nats1.example.com:4222" ];
  };
  NIXFLEET_NATS_LISTEN = {
    option = "natsListen";
    kind = "text";
    doc = "Where the embedded NATS listens for agents.";
    example = "0.0.0.0:4222";
  };
  NIXFLEET_NATS_PUBLIC_URLS = {
    option = "natsPublicUrls";
    kind = "list";
    doc = "Addresses of NATS that hosts are told: tls:// or nats:// for TCP, wss:// or ws:// for WebSockets. Without it the embedded NATS and the way through the server.";
    example = [ "tls://nats.example.com:4222" "wss://fleet.example.com/bus" ];
  };
  NIXFLEET_NATS_TLS = {
    option = "natsTls";
    kind = "text";
    doc = "Whether the embedded NATS encrypts with a certificate of its own making: auto does unless it listens on this machine only; off speaks in the clear, for a network that is private.";
    example = "auto";
  };
  NIXFLEET_NATS_TLS_CERT_FILE = {
    option = "natsTlsCertFile";
    kind = "path";
    doc = "File with the certificate (PEM, chain included) that the embedded NATS presents instead; read again when it changes. The service's user must be able to read it.";
    example = "/var/lib/acme/nats.example.com/fullchain.pem";
  };
  NIXFLEET_NATS_TLS_KEY_FILE = {
    option = "natsTlsKeyFile";
    kind = "path";
    doc = "File with the key of that certificate. It is read again when it changes, so it is not handed over as a credential.";
    example = "/var/lib/acme/nats.example.com/key.pem";
  };
  NIXFLEET_NATS_TLS_CA_FILE = {
    option = "natsTlsCaFile";
    kind = "path";
    doc = "File with the authority (PEM) that hosts shall pin for NATS, when its certificate is neither of the server's making nor of a public authority.";
    example = "/etc/ssl/nats-ca.pem";
  };
  NIXFLEET_GITHUB_API_URL = {
    option = "github.apiUrl";
    kind = "text";
    doc = "GitHub's API; set it for GitHub Enterprise Server.";
    example = "https://github.example.com/api/v3/";
  };
  NIXFLEET_GITHUB_WEB_URL = {
    option = "github.webUrl";
    kind = "text";
    doc = "GitHub's pages; set it for GitHub Enterprise Server.";
    example = "https://github.example.com/";
  };
  NIXFLEET_GITHUB_APP_ID = {
    option = "github.appId";
    kind = "number";
    doc = "Id of the GitHub App. Without it the server begins with the set-up.";
    example = 123456;
  };
  NIXFLEET_GITHUB_PRIVATE_KEY_FILE = {
    option = "github.privateKeyFile";
    kind = "secret";
    doc = "File with the App's private key (PEM).";
    example = "/run/secrets/nixfleet-app.pem";
  };
  NIXFLEET_GITHUB_WEBHOOK_SECRET_FILE = {
    option = "github.webhookSecretFile";
    kind = "secret";
    doc = "File with the webhook secret, one a line: two are live during a rotation.";
    example = "/run/secrets/nixfleet-webhook";
  };
  NIXFLEET_RECEIVERS_FILE = {
    option = "receiversFile";
    kind = "secret";
    doc = "File with addresses of receivers of notifications that must not be in the database, one NAME ADDRESS a line.";
    example = "/run/secrets/nixfleet-receivers";
  };
  NIXFLEET_GITHUB_CLIENT_ID = {
    option = "github.clientId";
    kind = "text";
    doc = "Client id of the GitHub App, with which people sign in. Without it that of the App that the set-up created.";
    example = "Iv23liAbCdEfGhIjKlMn";
  };
  NIXFLEET_GITHUB_CLIENT_SECRET_FILE = {
    option = "github.clientSecretFile";
    kind = "secret";
    doc = "File with a client secret of the GitHub App.";
    example = "/run/secrets/nixfleet-client";
  };
  NIXFLEET_TRUSTED_PROXIES = {
    option = "trustedProxies";
    kind = "list";
    doc = "Addresses and networks of proxies whose X-Forwarded-For says where a request comes from. Without it none is believed.";
    example = [ "127.0.0.1" "10.0.0.0/8" ];
  };
  NIXFLEET_SEAL_KEY_FILE = {
    option = "sealKeyFile";
    kind = "secret";
    doc = "File with the key that seals the App's credentials and the addresses of receivers in the database; replicas need the same. Without it one is made in the state directory.";
    example = "/run/secrets/nixfleet-seal";
  };
  NIXFLEET_KEEP_HISTORY_DAYS = {
    option = "keepHistoryDays";
    kind = "number";
    doc = "Days for which the history (who did what, when and why) is kept: at least 90, or 0 for ever. Without it 730.";
    example = 3650;
  };
  NIXFLEET_ADMIN_TOKEN_FILE = {
    option = "adminTokenFile";
    kind = "secret";
    doc = "File with a token that signs in with the admin role.";
    example = "/run/secrets/nixfleet-admin";
  };
  NIXFLEET_OTLP_URL = {
    option = "otlpUrl";
    kind = "text";
    doc = "Address of an OpenTelemetry collector that takes traces by OTLP over HTTP. Default: no traces.";
    example = "http://localhost:4318";
  };
  NIXFLEET_LOG_LEVEL = {
    option = "logLevel";
    kind = "text";
    doc = "What the log shows: debug, info, warn or error.";
    example = "info";
  };
  NIXFLEET_LOG_JSON = {
    option = "logJson";
    kind = "flag";
    doc = "Log as JSON, one object a line.";
    example = true;
  };
}
