# A small stand-in for nixpkgs' lib and its module system: enough to evaluate this
# project's own modules where there is no nixpkgs. It knows no merging of several
# definitions and no priorities; types are checked as far as the modules use them.
let
  inherit (builtins) all attrNames attrValues concatLists concatStringsSep elem elemAt filter foldl'
    hasAttr head isAttrs isBool isInt isList isString length listToAttrs map mapAttrs match readFile replaceStrings
    split tail toString;
in
rec {
  inherit attrNames attrValues concatStringsSep elem foldl' mapAttrs;

  # Lists, sets and strings.
  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: xs: if cond then xs else [ ];
  optionalString = cond: s: if cond then s else "";
  last = xs: elemAt xs (length xs - 1);
  genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
  filterAttrs = keep: set: listToAttrs (concatLists (map
    (name: optional (keep name set.${name}) { inherit name; value = set.${name}; })
    (attrNames set)));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  splitString = sep: s: filter isString (split (replaceStrings [ "." ] [ "\\." ] sep) s);
  attrByPath = path: default: set:
    if path == [ ] then set
    else if isAttrs set && hasAttr (head path) set then attrByPath (tail path) default set.${head path}
    else default;
  setAttrByPath = path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
  recursiveUpdate = a: b: a // mapAttrs
    (name: value: if isAttrs value && isAttrs (a.${name} or null) && !(isOption value) then recursiveUpdate a.${name} value else value)
    b;
  boolToString = b: if b then "true" else "false";
  toInt = s: builtins.fromJSON s;
  fileContents = file: builtins.head (builtins.match "(.*[^\n])\n*" (readFile file));
  escapeShellArg = s: "'" + replaceStrings [ "'" ] [ "'\\''" ] (toString s) + "'";
  makeBinPath = packages: concatStringsSep ":" (map (p: "${toString p}/bin") packages);
  getExe = p: "${toString p}/bin/${p.meta.mainProgram}";
  fileset = {
    toSource = source: source.root;
    gitTracked = path: path;
    fileFilter = _: path: path;
    intersection = a: _: a;
  };
  licenses.asl20 = "Apache-2.0";
  platforms.unix = [ "x86_64-linux" "aarch64-darwin" ];
  literalExpression = text: { _type = "literalExpression"; inherit text; };

  # Modules.
  isOption = o: isAttrs o && (o._type or "") == "option";
  mkOption = o: o // { _type = "option"; };
  mkEnableOption = what: mkOption { type = types.bool; default = false; description = "Whether to enable ${what}."; };
  mkIf = condition: content: { _type = "if"; inherit condition content; };

  types =
    let type = name: check: { inherit name check; };
    in
    {
      str = type "string" isString;
      path = type "path" (x: isString x && match "/.*" x != null);
      bool = type "boolean" isBool;
      package = type "package" (x: isAttrs x && x ? meta);
      ints.positive = type "positive integer" (x: isInt x && x > 0);
      pathWith = { inStore }: type "path outside of the store" (x: isString x && match "/.*" x != null && match "/nix/store/.*" x == null);
      nullOr = t: type "null or ${t.name}" (x: x == null || t.check x);
      listOf = t: type "list of ${t.name}" (x: isList x && all t.check x);
      attrsOf = t: type "set of ${t.name}" (x: isAttrs x && all t.check (attrValues x));
    };

  # Every option below `options` has a description and a type.
  documented = path: options:
    if isOption options
    then optional (!(options ? description && options ? type)) (concatStringsSep "." path)
    else concatLists (map (name: documented (path ++ [ name ]) options.${name}) (attrNames options));

  # What a module comes to for a given configuration: `given` for its own options,
  # `around` for all others.
  evalModule = module: { given, around, pkgs, args ? { } }:
    let
      evaluated = module ({ inherit pkgs config; lib = self; } // args);
      # Every value is of an option that there is, and of its type.
      fits = path: options: values: all
        (name:
          let at = path ++ [ name ]; option = options.${name} or null; in
          if option == null then throw "there is no option ${concatStringsSep "." at}"
          else if !(isOption option) then fits at option values.${name}
          else option.type.check values.${name} || throw "${concatStringsSep "." at}: expected a ${option.type.name}")
        (attrNames values);
      fill = path: options: values: mapAttrs
        (name: option:
          let at = path ++ [ name ]; in
          if !(isOption option) then fill at option (values.${name} or { })
          else values.${name} or (option.default or (throw "${concatStringsSep "." at} is used and not set")))
        options;
      config = recursiveUpdate around (fill [ ] evaluated.options given);
      resolve = v:
        if isAttrs v && (v._type or "") == "if" then (if v.condition then resolve v.content else null)
        else if isAttrs v && !(v ? outPath) then filterAttrs (_: x: x != null) (mapAttrs (_: resolve) v)
        else v;
      result = resolve evaluated.config;
    in
    assert fits [ ] evaluated.options given;
    {
      undocumented = documented [ ] evaluated.options;
      failed = map (a: a.message) (filter (a: !a.assertion) (result.assertions or [ ]));
      config = if result == null then { } else builtins.removeAttrs result [ "assertions" ];
    };

  self = import ./lib.nix;
}
