//! Reading schema files: elements, attributes, and errors that name the line.

use roxmltree::{Document, Node, ParsingOptions};
use std::str::FromStr;

/// The longest schema file that is read. CME's has 147 kB.
pub const SCHEMA_BYTES_MAX: usize = 4 << 20;

/// The most elements, texts and comments of a file.
const NODES_MAX: u32 = 1 << 18;

/// The longest tag: an element with its attributes.
const TAG_BYTES_MAX: usize = 64 << 10;

/// The deepest that elements stand in elements.
const ELEMENTS_DEEP_MAX: usize = 64;

/// Why a file is no schema, or no dictionary: the line, what is wrong there, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}: {cure}")]
pub struct XmlError {
    /// The line in the file, from 1.
    pub line: u32,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl XmlError {
    pub(crate) fn at(node: Node<'_, '_>, what: impl Into<String>, cure: &'static str) -> Self {
        let line = node.document().text_pos_at(node.range().start).row;
        XmlError { line, what: what.into(), cure }
    }
}

/// The document in `text`, within limits.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, XmlError> {
    let refused = |line, what: String, cure| Err(XmlError { line, what, cure });
    if text.len() > SCHEMA_BYTES_MAX {
        let what = format!("the file has {} bytes, more than {SCHEMA_BYTES_MAX}", text.len());
        return refused(1, what, "is it the right file?");
    }
    if let Some((at, what)) = beyond_limits(text.as_bytes()) {
        let line = 1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        return refused(line as u32, what.into(), "is it the right file?");
    }
    let options = ParsingOptions { allow_dtd: true, nodes_limit: NODES_MAX, ..Default::default() };
    Document::parse_with_options(text, options).or_else(|error| {
        let cure = "the file must be well-formed XML";
        refused(error.pos().row, error.to_string(), cure)
    })
}

/// Where elements are deeper or tags longer than a reader of XML likes, which takes quadratic time
/// for the attributes of one tag, and a frame of the stack for each level.
fn beyond_limits(text: &[u8]) -> Option<(usize, &'static str)> {
    let (mut at, mut deep) = (0_usize, 0_usize);
    while let Some(open) = text[at..].iter().position(|&byte| byte == b'<') {
        let start = at + open;
        let rest = &text[start..];
        let end_of = |mark: &[u8]| rest.windows(mark.len()).position(|place| place == mark);
        let skipped = [("<!--", "-->"), ("<![CDATA[", "]]>")];
        if let Some((_, end)) = skipped.iter().find(|(begin, _)| rest.starts_with(begin.as_bytes()))
        {
            at = start + end_of(end.as_bytes())? + end.len();
            continue;
        }
        if matches!(rest.get(1), Some(b'!' | b'?')) {
            at = start + 2;
            continue;
        }
        let len = tag_len(rest)?;
        if len > TAG_BYTES_MAX {
            return Some((start, "a tag is too long"));
        }
        match (rest[1], rest[len - 2]) {
            (b'/', _) => deep = deep.saturating_sub(1),
            (_, b'/') => {}
            _ => deep += 1,
        }
        if deep > ELEMENTS_DEEP_MAX {
            return Some((start, "elements are nested too deep"));
        }
        at = start + len;
    }
    None
}

/// Bytes up to the `>` that ends the tag at the start of `text`, which is none within a value.
fn tag_len(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    let ends = |&byte: &u8| match (quote, byte) {
        (None, b'\'' | b'"') => {
            quote = Some(byte);
            false
        }
        (Some(open), _) => {
            quote = Some(open).filter(|&open| open != byte);
            false
        }
        (None, _) => byte == b'>',
    };
    text.iter().position(ends).map(|at| at + 1).filter(|&len| len > 2)
}

/// The elements directly below `node`.
pub(crate) fn children<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(Node::is_element)
}

/// An attribute that must be there.
pub(crate) fn required<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, XmlError> {
    node.attribute(name).ok_or_else(|| {
        let what = format!("<{}> has no attribute {name}", node.tag_name().name());
        XmlError::at(node, what, "the specification requires it")
    })
}

/// An attribute that is a number, if it is there.
pub(crate) fn number<T: FromStr>(node: Node<'_, '_>, name: &str) -> Result<Option<T>, XmlError> {
    let parse = |text: &str| {
        text.trim().parse().map_err(|_| {
            let what = format!("{name}='{text}' is no number, or out of range");
            XmlError::at(node, what, "write a decimal number that fits")
        })
    };
    node.attribute(name).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_a_reader_could_choke_on_is_refused() {
        let deep = format!("<a>\n{}", "<b>".repeat(100_000));
        assert_eq!(refused(&deep), "line 2: elements are nested too deep: is it the right file?");
        let long = format!("<a {}/>", "x='' ".repeat(20_000));
        assert_eq!(refused(&long), "line 1: a tag is too long: is it the right file?");
        let text = " ".repeat(SCHEMA_BYTES_MAX + 1);
        assert!(refused(&text).contains("the file has 4194305 bytes"));
        let many = format!("<a>{}</a>", "<b/>".repeat(1 << 18));
        assert!(refused(&many).contains("must be well-formed XML"));
        let mut laughs = "<!DOCTYPE a [<!ENTITY e0 'ha'>".to_owned();
        for n in 1..40 {
            let before = format!("&e{};", n - 1).repeat(10);
            laughs += &format!("<!ENTITY e{n} '{before}'>");
        }
        assert!(parse(&(laughs + "]><a>&e39;</a>")).is_err());
    }

    #[test]
    fn values_do_not_hide_how_deep_elements_are() {
        for tag in ["<a x='/>'>", "<a x=\">\" y='/'>", "<a x='/'>", "<!--/--><a >"] {
            let error = refused(&tag.repeat(100_000));
            assert!(error.contains("nested too deep"), "{tag} {error}");
        }
        for text in ["<", "<>", "<a", "</", "<!", "<?", "<a '", "<a x=\">"] {
            assert!(refused(text).contains("well-formed"), "{text}");
        }
    }

    #[test]
    fn comments_hold_anything() {
        let comment = "<<b <a x='".repeat(50_000);
        assert!(parse(&format!("<a><!--{comment}--><![CDATA[<<<]]></a>")).is_ok());
    }

    #[test]
    fn errors_say_where() {
        assert!(refused("<a>\n<b>\n</a>").starts_with("line 3: "));
        assert!(refused("").contains("well-formed"));
        let document = parse("<a>\n<b n='-1'/></a>").unwrap();
        let node = children(document.root_element()).next().unwrap();
        let error = number::<u16>(node, "n").unwrap_err();
        let expected =
            "line 2: n='-1' is no number, or out of range: write a decimal number that fits";
        assert_eq!(error.to_string(), expected);
        assert_eq!(number::<u16>(node, "m"), Ok(None));
        let error = required(node, "m").unwrap_err().to_string();
        assert_eq!(error, "line 2: <b> has no attribute m: the specification requires it");
    }
}
