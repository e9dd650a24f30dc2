//! No text makes a parser panic, and what is parsed is what was given.

use proptest::prelude::*;

use crate::arn::{AccountId, KeyArn, Region, RoleArn};

proptest! {
    #[test]
    fn no_text_panics_a_parser(text in any::<String>()) {
        let _ = text.parse::<RoleArn>();
        let _ = text.parse::<KeyArn>();
        let _ = text.parse::<Region>();
        let _ = text.parse::<AccountId>();
    }

    #[test]
    fn no_almost_arn_panics_a_parser(text in "arn:(aws|aws-cn|x)?:(kms|iam)?:[a-z0-9-]{0,20}:[0-9]{0,13}:(role|key|alias)?/?.{0,40}") {
        if let Ok(role) = text.parse::<RoleArn>() {
            prop_assert_eq!(role.as_str(), &text);
            let whole = format!("arn:{}:iam::{}:role{}{}", role.partition(), role.account(), role.path(), role.name());
            prop_assert_eq!(whole, text.clone());
            prop_assert!(!text.contains(['*', '?', '$', '\'', '"', ' ', '\n']));
        }
        if let Ok(key) = text.parse::<KeyArn>() {
            prop_assert_eq!(key.as_str(), &text);
            prop_assert!(!text.contains(['*', '?', '$', '\'', '"', ' ', '\n', '/']) || text.contains(":key/"));
        }
    }
}
