"""The profiles that ship with feederloop, one YAML file per device; `feederloop.hil.profile` loads them."""
