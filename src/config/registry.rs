//! Where tenants are kept.

use std::path::PathBuf;

use serde::Deserialize;

/// Where tenants are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Section")]
pub enum Registry {
    /// In a SQLite file. The default.
    Sqlite {
        /// Which file, on a local file system. It and its directory are made if they are not there, for this user alone.
        /// Default [`Registry::DEFAULT_PATH`]: the directory that a unit's `StateDirectory=leasehold` makes.
        path: PathBuf,
    },
    /// In memory: gone when the process ends. For development and demonstrations; never the default.
    Memory,
}

impl Registry {
    /// Where the file is unless told otherwise.
    pub const DEFAULT_PATH: &str = "/var/lib/leasehold/registry.db";
}

impl Default for Registry {
    fn default() -> Self {
        Self::Sqlite { path: Self::DEFAULT_PATH.into() }
    }
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    kind: Kind,
    path: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Sqlite,
    Memory,
}

impl TryFrom<Section> for Registry {
    type Error = &'static str;

    fn try_from(section: Section) -> Result<Self, &'static str> {
        match (section.kind, section.path) {
            (Kind::Sqlite, None) => Ok(Self::default()),
            (Kind::Sqlite, Some(path)) if path.as_os_str().is_empty() => Err("registry.path is empty"),
            (Kind::Sqlite, Some(path)) => Ok(Self::Sqlite { path }),
            (Kind::Memory, None) => Ok(Self::Memory),
            (Kind::Memory, Some(_)) => Err("registry.path has no meaning when registry.kind is \"memory\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(section: &str) -> Result<Registry, String> {
        toml::from_str(section).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn p5_tenants_are_kept_on_disk_unless_memory_is_asked_for_by_name() {
        let at = |path: &str| Ok(Registry::Sqlite { path: path.into() });
        assert_eq!(registry(""), at("/var/lib/leasehold/registry.db"));
        assert_eq!(registry("kind = 'sqlite'"), at("/var/lib/leasehold/registry.db"));
        assert_eq!(registry("path = '/srv/r.db'"), at("/srv/r.db"));
        assert_eq!(registry("kind = 'memory'"), Ok(Registry::Memory));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (section, says) in [
            ("kind = 'memory'\npath = 'x'", "registry.path"),
            ("path = ''", "registry.path"),
            ("kind = 'postgres'", "postgres"),
            ("file = 'x'", "file"),
        ] {
            let refused = registry(section).unwrap_err();
            assert!(refused.contains(says), "{section}: {refused}");
        }
    }
}
