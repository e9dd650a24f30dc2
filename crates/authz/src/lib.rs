//! Who may do what: caller identities and static rules.
