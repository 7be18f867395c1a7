# Both programs of NixFleet. `program` is nixfleet (the server and the command line)
# or nixfleet-agent.
{ lib, stdenv, installShellFiles, buildGoModule, program, revision ? "dev", vendorHash }:
buildGoModule {
  pname = program;
  version = lib.fileContents ./version;
  src = lib.fileset.toSource {
    root = ../.;
    # What is not compiled does not change the program: an agent that is the same is
    # not restarted by a change of a document.
    fileset = lib.fileset.intersection (lib.fileset.gitTracked ../.) (lib.fileset.fileFilter
      (file: ! file.hasExt "md" && ! file.hasExt "nix")
      ../.);
  };
  inherit vendorHash;
  subPackages = [ "cmd/${program}" ];
  env.CGO_ENABLED = 0;
  nativeBuildInputs = [ installShellFiles ];
  # The program writes its manual and what shells complete; zsh takes neither form from a
  # folder, see `nixfleet completion zsh`.
  postInstall = lib.optionalString (program == "nixfleet" && stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    $out/bin/nixfleet man >nixfleet.1
    installManPage nixfleet.1
    for shell in bash fish; do
      $out/bin/nixfleet completion --code $shell >nixfleet.$shell
      installShellCompletion --$shell nixfleet.$shell
    done
  '';
  ldflags = [ "-s" "-w" ] ++ lib.optional (program == "nixfleet")
    "-X github.com/nixfleet/nixfleet/app.Build=${revision}";
  # The tests start Postgres, NATS, Nix and Chromium; `make test` runs them.
  doCheck = false;
  meta = {
    description =
      if program == "nixfleet"
      then "Proves flake.lock updates, merges them, and brings them to hosts in waves"
      else "Keeps a host at the commit that its fleet orders";
    license = lib.licenses.asl20;
    mainProgram = program;
    platforms = lib.platforms.unix;
  };
}
