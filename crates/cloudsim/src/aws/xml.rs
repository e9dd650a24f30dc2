//! The XML answers of the query protocol.

use serde_json::Value;

use super::error::AwsError;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// `<{operation}Response>` around `<{operation}Result>` with the members of `value`, in their order.
pub(crate) fn result(operation: &str, value: &Value, request_id: &str) -> String {
    let mut text = format!("<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>");
    write(&mut text, value);
    text.push_str(&format!(
        "</{operation}Result><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        escape(request_id)
    ));
    text
}

/// `<ErrorResponse>`.
pub(crate) fn error(error: &AwsError, request_id: &str) -> String {
    let side = if error.status.is_server_error() { "Receiver" } else { "Sender" };
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{side}</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{}</RequestId></ErrorResponse>",
        escape(&error.code),
        escape(&error.message),
        escape(request_id)
    )
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
                text.push_str(&format!("<{name}>"));
                write(text, member);
                text.push_str(&format!("</{name}>"));
            }
        }
        Value::String(string) => text.push_str(&escape(string)),
        other => text.push_str(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_nest_and_are_escaped() {
        let xml =
            result("GetCallerIdentity", &json!({"Arn": "a<&>", "Nested": {"Size": 6}, "Absent": null}), "id");
        assert!(
            xml.contains(
                "<GetCallerIdentityResult><Arn>a&lt;&amp;&gt;</Arn><Nested><Size>6</Size></Nested></"
            )
        );
    }
}
