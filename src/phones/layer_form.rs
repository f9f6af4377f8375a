//! Settings as a form: each may say something itself, or leave it to what lies under it.

use std::collections::BTreeMap;

use super::settings::{Form, Layer, Origin, Resolved, Setting};

/// One setting of the form.
#[derive(Clone, Debug)]
pub struct SettingField {
    /// Which.
    pub setting: &'static Setting,
    /// What it says itself; empty leaves it to what lies under it.
    pub value: String,
    /// It says itself that there is none.
    pub none: bool,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What counts when nothing is said here.
    pub inherited: String,
    /// Where that comes from.
    pub from: String,
}

impl SettingField {
    /// The words of a choice, each with its meaning; none for what is typed.
    pub fn words(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self.setting.form {
            Form::Choice(words) => Some(words),
            _ => None,
        }
    }

    /// Whether none is a value of its own.
    pub fn may_be_none(&self) -> bool {
        matches!(self.setting.form, Form::Host | Form::Zone | Form::Dial)
    }

    /// What counts when nothing is said here, in words.
    pub fn inherited_words(&self) -> String {
        meaning(self.setting, &self.inherited)
    }
}

/// A value as people read it.
pub fn meaning(setting: &Setting, value: &str) -> String {
    let choice = match &setting.form {
        Form::Choice(words) => words.iter().find(|(word, _)| *word == value),
        _ => None,
    };
    match (choice, &setting.form) {
        (Some((_, meaning)), _) => (*meaning).to_owned(),
        _ if value.is_empty() => "none".to_owned(),
        (_, Form::Number(.., unit)) if !unit.is_empty() => {
            let unit = if value == "1" { unit.trim_end_matches('s') } else { unit };
            format!("{value} {unit}")
        }
        _ => value.to_owned(),
    }
}

/// Where a value comes from, in words.
pub fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Usual => "usual".to_owned(),
        Origin::Profile(name) => format!("profile {name}"),
        Origin::Phone => "this phone".to_owned(),
    }
}

/// The form of a layer over what lies under it.
pub fn fields(own: &Layer, under: &Resolved) -> Vec<SettingField> {
    under
        .iter()
        .map(|(setting, valued)| SettingField {
            setting,
            value: own.get(setting.key).cloned().unwrap_or_default(),
            none: own.get(setting.key).is_some_and(String::is_empty),
            error: None,
            inherited: valued.value.clone(),
            from: origin(&valued.origin),
        })
        .collect()
}

/// What was sent for each setting, with what is wrong in the fields. `None` where something is
/// wrong; a setting without a value is left to what lies under it.
pub fn parse(
    fields: &mut [SettingField],
    sent: &[(String, String)],
) -> Option<BTreeMap<String, Option<String>>> {
    let find = |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, text)| text);
    let mut said = BTreeMap::new();
    let mut wrong = false;
    for field in fields {
        let key = field.setting.key;
        let Some(text) = find(key) else { continue };
        field.value = text.trim().to_owned();
        field.none = field.may_be_none() && find(&format!("none:{key}")).is_some();
        let own = match (field.value.as_str(), field.none) {
            ("", true) => Some(Ok(String::new())),
            ("", false) => None,
            (value, _) => Some(field.setting.parse(value)),
        };
        match own.transpose() {
            Ok(own) => drop(said.insert(key.to_owned(), own)),
            Err(why) => {
                field.error = Some(why.to_string());
                wrong = true;
            }
        }
    }
    (!wrong).then_some(said)
}

/// The settings of a profile that was sent: those it says something of.
pub fn layer(said: BTreeMap<String, Option<String>>) -> Layer {
    said.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}
