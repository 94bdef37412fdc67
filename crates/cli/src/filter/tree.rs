//! The syntax tree in words: what was understood, with the qualifiers that carry over.

use tickwire_filter::ast::{Direction, Expr, Id, Joint, List, Mask, Node, Primitive, Qualifiers};

/// One line a node, children below their parent. `text` is what the tree was made from.
pub fn draw(expr: &Expr, text: &str) -> String {
    let mut out = String::new();
    put(&Shape::of(expr), text, "", "", &mut out);
    out
}

/// `and` and `or` take two operands here: they bind equally, from left to right.
enum Shape<'a> {
    One(&'a Expr),
    Not(&'a Expr),
    Pair(Joint, Box<Shape<'a>>, Box<Shape<'a>>),
}

impl<'a> Shape<'a> {
    fn of(expr: &'a Expr) -> Shape<'a> {
        match &expr.node {
            Node::Not(inner) => Shape::Not(inner),
            Node::Chain(first, rest) => {
                rest.iter().fold(Shape::of(first), |left, (joint, right)| {
                    Shape::Pair(*joint, Box::new(left), Box::new(Shape::of(right)))
                })
            }
            Node::All | Node::Every(_) | Node::Primitive(_) => Shape::One(expr),
        }
    }
}

/// Writes a node behind `head`, and its children behind `below`. A run of one joint is one node.
fn put(shape: &Shape<'_>, text: &str, head: &str, below: &str, out: &mut String) {
    let children: Vec<Shape<'_>>;
    let mut borrowed: Vec<&Shape<'_>> = Vec::new();
    let label = match shape {
        Shape::One(expr) => words(expr, text),
        Shape::Not(inner) => {
            children = vec![Shape::of(inner)];
            borrowed.extend(&children);
            "not".to_owned()
        }
        Shape::Pair(joint, ..) => {
            flatten(shape, *joint, &mut borrowed);
            (if *joint == Joint::And { "and" } else { "or" }).to_owned()
        }
    };
    out.push_str(&format!("{head}{label}\n"));
    let last = borrowed.len().saturating_sub(1);
    for (at, child) in borrowed.into_iter().enumerate() {
        let (branch, indent) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        put(child, text, &format!("{below}{branch}"), &format!("{below}{indent}"), out);
    }
}

fn flatten<'s, 'a>(shape: &'s Shape<'a>, joint: Joint, into: &mut Vec<&'s Shape<'a>>) {
    // A loop, not a recursion: a chain may be as long as a text.
    let mut rights = Vec::new();
    let mut at = shape;
    while let Shape::Pair(found, left, right) = at {
        if *found != joint {
            break;
        }
        rights.push(&**right);
        at = left;
    }
    into.push(at);
    into.extend(rights.into_iter().rev());
}

fn words(expr: &Expr, text: &str) -> String {
    match &expr.node {
        Node::Primitive(Primitive::Id(qualifiers, id)) => {
            format!("{}{}", qualifier_words(qualifiers), id_words(id))
        }
        Node::All => "every packet".to_owned(),
        _ => {
            let source = text.get(expr.span.clone()).unwrap_or_default();
            source.split_whitespace().collect::<Vec<_>>().join(" ")
        }
    }
}

fn qualifier_words(qualifiers: &Qualifiers) -> String {
    let direction = qualifiers.direction.map(|direction| match direction {
        Direction::Source => "src",
        Direction::Destination => "dst",
        Direction::Either => "src or dst",
        Direction::Both => "src and dst",
        Direction::Wlan(field) => field,
    });
    let kind = qualifiers.kind.map_or("host", |kind| kind.word());
    let words = [qualifiers.protocol, direction, Some(kind)];
    words.into_iter().flatten().map(|word| format!("{word} ")).collect()
}

fn id_words(id: &Id) -> String {
    match id {
        Id::Name(name) => name.clone(),
        Id::Number(number) => number.to_string(),
        Id::Dotted(address, Mask::Implied) => address.clone(),
        Id::Dotted(address, Mask::Length(length)) => format!("{address}/{length}"),
        Id::Dotted(address, Mask::Dotted(mask)) => format!("{address} mask {mask}"),
        Id::V6(address, None) => address.to_string(),
        Id::V6(address, Some(length)) => format!("{address}/{length}"),
        Id::Mac(address) => address.map(|byte| format!("{byte:02x}")).join(":"),
        Id::Octet(octet) => format!("${octet:02x}"),
        Id::List(List::Here(ids)) => {
            let ids: Vec<String> = ids.iter().map(|(id, _)| id_words(id)).collect();
            format!("in {{{}}}", ids.join(", "))
        }
        Id::List(List::File(name)) => format!("in @{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(text: &str) -> String {
        draw(&tickwire_filter::parse(text).expect("a filter"), text)
    }

    #[test]
    fn joints_bind_equally_and_qualifiers_carry_over() {
        assert_eq!(
            drawn("udp port 1 or 2 and not vlan"),
            "and\n├─ or\n│  ├─ udp port 1\n│  └─ udp port 2\n└─ not\n   └─ vlan\n"
        );
        assert_eq!(drawn("ip and tcp and less 5"), "and\n├─ ip\n├─ tcp\n└─ less 5\n");
        assert_eq!(drawn(""), "every packet\n");
    }

    #[test]
    fn a_long_chain_is_drawn() {
        let text = vec!["ip"; 5000].join(" or ");
        assert_eq!(drawn(&text).lines().count(), 5001);
    }
}
