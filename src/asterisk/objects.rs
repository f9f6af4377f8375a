//! A parsed release as the objects Asterisk will make of it, and what changes from one release to the next.

use std::collections::{BTreeMap, BTreeSet};

use super::conf::{Section, Tree, text};
use super::secret::{is_secret, mask};

/// The objects that are written, read back and compared.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ObjectKind {
    /// `type = endpoint`
    Endpoint,
    /// `type = auth`
    Auth,
    /// `type = aor`
    Aor,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Endpoint, Self::Auth, Self::Aor];

    /// The word in `type =` and in manager events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Auth => "auth",
            Self::Aor => "aor",
        }
    }

    /// The kind that this `type` means, if it is one of ours. Case matters: Asterisk makes nothing of `type = AOR`.
    pub fn from_type(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().as_bytes() == word)
    }
}

/// The objects of a tree. They are views of its text: nothing is copied until something differs.
#[derive(Debug, Default)]
pub struct Objects<'t> {
    objects: BTreeMap<(ObjectKind, String), Section<'t>>,
}

/// What becomes of one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectChange {
    /// Its type.
    pub kind: ObjectKind,
    /// Its name.
    pub id: String,
    /// What happens to it.
    pub change: Change,
}

/// What happens to an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Only in the new release.
    Added,
    /// Only in the old one.
    Removed,
    /// In both, with these differences; never empty.
    Changed(Vec<FieldChange>),
}

/// One option that differs. Secrets are masked; see [`mask`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FieldChange {
    /// The option.
    pub name: String,
    /// What it was; nothing when it was not there.
    pub old: Option<String>,
    /// What it will be; nothing when it will not be there.
    pub new: Option<String>,
}

impl ObjectChange {
    /// The phone it is a part of: `1000-auth` is part of 1000.
    pub fn owner(&self) -> &str {
        match self.kind {
            ObjectKind::Auth => self.id.strip_suffix("-auth").unwrap_or(&self.id),
            ObjectKind::Endpoint | ObjectKind::Aor => &self.id,
        }
    }
}

impl<'t> Objects<'t> {
    /// The endpoints, auths and aors of a tree. Of two with the same kind and id the later counts; preflight reports them.
    pub fn of(tree: &'t Tree) -> Self {
        let object = |section: Section<'t>| {
            let kind = ObjectKind::from_type(section.first("type")?)?;
            Some(((kind, text(section.name()).into_owned()), section))
        };
        Self { objects: tree.sections().filter(|s| !s.is_template()).filter_map(object).collect() }
    }

    /// The ids of a kind, in order.
    pub fn ids(&self, kind: ObjectKind) -> BTreeSet<&str> {
        self.objects.keys().filter(|key| key.0 == kind).map(|key| key.1.as_str()).collect()
    }

    /// How many there are of all kinds.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The options of an object in order, secrets **not** masked: for reading back, not for showing.
    pub fn fields(&self, kind: ObjectKind, id: &str) -> Option<Vec<(String, String)>> {
        let section = self.objects.get(&(kind, id.to_owned()))?;
        Some(
            section
                .variables()
                .map(|v| (text(v.name).into_owned(), text(v.value).into_owned()))
                .collect(),
        )
    }
}

/// What changes from the old objects to the new, by kind and id.
pub fn compare(old: &Objects<'_>, new: &Objects<'_>) -> Vec<ObjectChange> {
    let mut changes = Vec::new();
    let mut add = |(kind, id): &(ObjectKind, String), change| {
        changes.push(ObjectChange { kind: *kind, id: id.clone(), change });
    };
    for (key, section) in &new.objects {
        match old.objects.get(key) {
            None => add(key, Change::Added),
            Some(before) => {
                let fields = fields_changed(before, section);
                if !fields.is_empty() {
                    add(key, Change::Changed(fields));
                }
            }
        }
    }
    for key in old.objects.keys().filter(|key| !new.objects.contains_key(*key)) {
        add(key, Change::Removed);
    }
    changes.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    changes
}

fn fields_changed(old: &Section<'_>, new: &Section<'_>) -> Vec<FieldChange> {
    let (before, after) = (options(old), options(new));
    if before == after {
        return Vec::new();
    }
    let (mut before, after) = (by_name(&before), by_name(&after));
    let mut fields = Vec::new();
    for (name, values) in after {
        pair(&name, &before.remove(&name).unwrap_or_default(), &values, &mut fields);
    }
    for (name, values) in before {
        pair(&name, &values, &[], &mut fields);
    }
    fields
}

fn options<'t>(section: &Section<'t>) -> Vec<(&'t [u8], &'t [u8])> {
    section.variables().map(|v| (v.name, v.value)).collect()
}

/// An option may be given several times; the order among its values counts, the order among options does not.
fn by_name(fields: &[(&[u8], &[u8])]) -> BTreeMap<String, Vec<String>> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields {
        by_name.entry(text(name).to_ascii_lowercase()).or_default().push(text(value).into_owned());
    }
    by_name
}

fn pair(name: &str, old: &[String], new: &[String], fields: &mut Vec<FieldChange>) {
    let shown = |value: &String| if is_secret(name) { mask(value) } else { value.clone() };
    for at in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(at), new.get(at));
        if old != new {
            fields.push(FieldChange {
                name: name.to_owned(),
                old: old.map(shown),
                new: new.map(shown),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::asterisk::conf::{Files, parse};

    fn tree(text: &str) -> Tree {
        parse(&Files::from([("f".to_owned(), Arc::from(text.as_bytes()))]), "f")
    }

    const OLD: &str = "[t](!)\ntype = endpoint\ncontext = a\n[1000](t)\naors = 1000\n[1000]\ntype = aor\nmax_contacts = 1\n\
        [1000-auth]\ntype = auth\npassword_digest = MD5:aaa\npassword_digest = SHA-256:bbb\n[x]\ntype = transport\n";

    #[test]
    fn the_same_id_may_be_an_endpoint_and_an_aor() {
        let tree = tree(OLD);
        let objects = Objects::of(&tree);
        assert_eq!(objects.len(), 3);
        assert_eq!(objects.ids(ObjectKind::Aor), BTreeSet::from(["1000"]));
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            vec![field("type", "endpoint"), field("context", "a"), field("aors", "1000")];
        assert_eq!(objects.fields(ObjectKind::Endpoint, "1000"), Some(expected));
    }

    #[test]
    fn the_first_type_makes_the_object_and_its_case_matters() {
        let tree = tree("[a]\ntype = aor\ntype = endpoint\n[b]\nTYPE = aor\n[c]\ntype = AOR\n");
        let objects = Objects::of(&tree);
        assert_eq!(objects.ids(ObjectKind::Aor), BTreeSet::from(["a", "b"]));
        assert_eq!(objects.len(), 2);
    }

    #[test]
    fn a_change_in_a_template_is_a_change_of_its_objects() {
        let (old, new) = (tree(OLD), tree(&OLD.replace("context = a", "context = b")));
        let changes = compare(&Objects::of(&old), &Objects::of(&new));
        let field = FieldChange {
            name: "context".to_owned(),
            old: Some("a".to_owned()),
            new: Some("b".to_owned()),
        };
        let change = Change::Changed(vec![field]);
        assert_eq!(
            changes,
            [ObjectChange { kind: ObjectKind::Endpoint, id: "1000".to_owned(), change }]
        );
    }

    #[test]
    fn a_changed_secret_is_seen_to_change_and_not_shown() {
        let (old, new) = (tree(OLD), tree(&OLD.replace("bbb", "ccc")));
        let changes = compare(&Objects::of(&old), &Objects::of(&new));
        let fields: Vec<_> = changes
            .iter()
            .flat_map(|c| if let Change::Changed(f) = &c.change { f.as_slice() } else { &[] })
            .collect();
        assert_eq!(fields.len(), 1);
        assert!(fields[0].new.as_ref().unwrap().starts_with("SHA-256:(hidden #"));
        assert!(!format!("{changes:?}").contains("ccc"));
    }

    #[test]
    fn what_comes_and_goes_is_said_and_order_is_no_change() {
        let (old, new) =
            (tree(OLD), tree("[2]\ntype = aor\n[1000]\nmax_contacts = 1\ntype = aor\n"));
        let changes = compare(&Objects::of(&old), &Objects::of(&new));
        let shown: Vec<_> =
            changes.iter().map(|c| format!("{:?} {} {:?}", c.kind, c.id, c.change)).collect();
        assert_eq!(shown, ["Endpoint 1000 Removed", "Auth 1000-auth Removed", "Aor 2 Added"]);
    }
}
