# Options and environment out of a table of settings.
{ lib }:
let
  inherit (lib) mkOption types;

  typeOf = {
    text = types.str;
    path = types.path;
    number = types.ints.positive;
    flag = types.bool;
    list = types.listOf types.str;
    # A string: a path literal would copy the secret into the store.
    secret = types.pathWith { inStore = false; };
  };

  option = setting: mkOption {
    type = types.nullOr typeOf.${setting.kind};
    default = null;
    example = setting.example;
    description = setting.doc;
  };

  text = setting: value:
    if setting.kind == "flag" then lib.boolToString value
    else if setting.kind == "list" then lib.concatStringsSep "," value
    else toString value;

  where = setting: lib.splitString "." setting.option;
  value = cfg: setting: lib.attrByPath (where setting) null cfg;
  given = cfg: lib.filterAttrs (_: setting: value cfg setting != null);
  secret = setting: setting.kind == "secret";
in
{
  # The options of a table, to be put below services.NAME.
  options = table:
    lib.foldl' lib.recursiveUpdate { }
      (map (setting: lib.setAttrByPath (where setting) (option setting)) (lib.attrValues table));

  # The environment that the options of a service come to. Secrets are named by
  # where systemd puts the credential of the same name.
  environment = table: cfg:
    lib.mapAttrs
      (name: setting: if secret setting then "%d/${name}" else text setting (value cfg setting))
      (given cfg table);

  # The credentials that a service has to load, as systemd.exec(5) writes them.
  credentials = table: cfg:
    lib.mapAttrsToList (name: setting: "${name}:${value cfg setting}")
      (lib.filterAttrs (_: secret) (given cfg table));
}
