-- Tenants and their bindings, with everything that they ever were. Points in time are nanoseconds since the Unix epoch, spans
-- are nanoseconds, and what is a map or a set is JSON.

-- Which deployment these tenants are of. External ids are derived from it, so the same records mean nothing to another.
CREATE TABLE deployment (
  id TEXT NOT NULL
) STRICT;

-- Which revision of each tenant is in force: the only rows that are ever updated.
CREATE TABLE tenants (
  tenant   TEXT    NOT NULL PRIMARY KEY,
  revision INTEGER NOT NULL,
  FOREIGN KEY (tenant, revision) REFERENCES tenant_revisions (tenant, revision) DEFERRABLE INITIALLY DEFERRED
) STRICT, WITHOUT ROWID;

-- Each revision of each tenant. `change` numbers all of them in the order in which they were committed.
CREATE TABLE tenant_revisions (
  change           INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant           TEXT    NOT NULL REFERENCES tenants (tenant) DEFERRABLE INITIALLY DEFERRED,
  revision         INTEGER NOT NULL,
  display_name     TEXT    NOT NULL,
  state            TEXT    NOT NULL CHECK (state IN ('ACTIVE', 'SUSPENDED')),
  deleted          INTEGER,
  revocation_bound INTEGER NOT NULL,
  idle_after       INTEGER NOT NULL,
  entry_max_age    INTEGER NOT NULL,
  cache            TEXT    NOT NULL CHECK (cache IN ('on', 'off')),
  loggable_context TEXT    NOT NULL CHECK (json_valid(loggable_context)),
  created          INTEGER NOT NULL,
  updated          INTEGER NOT NULL,
  UNIQUE (tenant, revision)
) STRICT;

-- Each version of each binding, from the revision of its tenant on that brought it. The greatest version is in force.
CREATE TABLE binding_versions (
  tenant         TEXT    NOT NULL,
  binding        TEXT    NOT NULL,
  version        INTEGER NOT NULL,
  revision       INTEGER NOT NULL,
  state          TEXT    NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'RETIRING', 'RETIRED')),
  provider       TEXT    NOT NULL,
  key            TEXT    NOT NULL,
  settings       TEXT    NOT NULL CHECK (json_valid(settings)),
  external_id    TEXT    NOT NULL,
  canary_context TEXT    NOT NULL CHECK (json_valid(canary_context)),
  hierarchy      TEXT    NOT NULL,
  canary         BLOB,
  created        INTEGER NOT NULL,
  updated        INTEGER NOT NULL,
  PRIMARY KEY (tenant, binding, version),
  FOREIGN KEY (tenant, revision) REFERENCES tenant_revisions (tenant, revision)
) STRICT;

-- Ids are never reused, and history is never rewritten, whoever tries.
CREATE TRIGGER tenants_stay BEFORE DELETE ON tenants
BEGIN SELECT RAISE(ABORT, 'tenants are never removed'); END;

CREATE TRIGGER tenant_revisions_stay BEFORE DELETE ON tenant_revisions
BEGIN SELECT RAISE(ABORT, 'history is never removed'); END;

CREATE TRIGGER tenant_revisions_are_final BEFORE UPDATE ON tenant_revisions
BEGIN SELECT RAISE(ABORT, 'history is never rewritten'); END;

CREATE TRIGGER binding_versions_stay BEFORE DELETE ON binding_versions
BEGIN SELECT RAISE(ABORT, 'history is never removed'); END;

CREATE TRIGGER binding_versions_are_final BEFORE UPDATE ON binding_versions
BEGIN SELECT RAISE(ABORT, 'history is never rewritten'); END;

-- Tells files of ours ('Lhld') from other people's, and this schema from later ones.
PRAGMA application_id = 0x4c686c64;
PRAGMA user_version = 1;
