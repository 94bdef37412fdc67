use super::*;
use crate::ast::{Arith, ArithNode, Primitive, Relation};

fn shape(text: &str) -> String {
    fn arith(a: &Arith) -> String {
        match &a.node {
            ArithNode::Number(value) => value.to_string(),
            ArithNode::Length => "len".into(),
            ArithNode::Accessor(protocol, index, size) => {
                format!("{protocol}[{}:{size}]", arith(index))
            }
            ArithNode::Negate(inner) => format!("-{}", arith(inner)),
            ArithNode::Binary(op, left, right) => format!("({}{op}{})", arith(left), arith(right)),
        }
    }
    fn expr(e: &Expr) -> String {
        match &e.node {
            Node::All => "all".into(),
            Node::Not(inner) => format!("!{}", expr(inner)),
            Node::Every(inner) => format!("all({})", expr(inner)),
            Node::Chain(first, rest) => rest.iter().fold(expr(first), |left, (joint, right)| {
                let joint = if *joint == Joint::And { '&' } else { '|' };
                format!("({left}{joint}{})", expr(right))
            }),
            Node::Primitive(Primitive::Relation(left, Relation::Equal, right)) => {
                format!("{}={}", arith(left), arith(right))
            }
            Node::Primitive(Primitive::Id(q, id)) => {
                format!("{}/{:?}/{id:?}", q.protocol.unwrap_or("-"), q.kind)
            }
            Node::Primitive(Primitive::Protocol(protocol)) => (*protocol).into(),
            Node::Primitive(other) => format!("{other:?}"),
        }
    }
    match parse(text) {
        Ok(tree) => expr(&tree),
        Err(error) => panic!("{}", error.render(text)),
    }
}

#[test]
fn and_and_or_bind_equally() {
    assert_eq!(shape("tcp or udp and not icmp"), "((tcp|udp)&!icmp)");
    assert_eq!(shape("tcp or (udp and icmp)"), "(tcp|(udp&icmp))");
    assert_eq!(shape(""), "all");
}

#[test]
fn qualifiers_carry_over() {
    let list = shape("tcp port 80 or 81 and (82 or not 83)");
    let expected = [80, 81, 82, 83].map(|port| format!("tcp/Some(Port)/Number({port})"));
    let [a, b, c, d] = &expected;
    assert_eq!(list, format!("(({a}|{b})&({c}|!{d}))"));
    assert!(parse("tcp and 80").unwrap_err().message.contains("no qualifier"));
    assert!(parse("1.2.3.4").is_err());
}

#[test]
fn numbers_in_parentheses_are_told_from_ids() {
    assert_eq!(shape("port 80 and (3) = 2"), "(-/Some(Port)/Number(80)&3=2)");
    assert_eq!(shape("(3) = 3"), "3=3");
    assert_eq!(shape("((ip[0] & 15) = 5)"), "(ip[0:1]&15)=5");
}

#[test]
fn ranks_of_operators() {
    assert_eq!(shape("1 | 2 & 3 << 4 + 5 * 6 = 7"), "(1|(2&(3<<(4+(5*6)))))=7");
    assert_eq!(shape("10 - 2 - 3 = 5"), "((10-2)-3)=5");
    assert_eq!(shape("ip[0] % 3 + 1 = 2"), "(ip[0:1]%(3+1))=2");
    assert_eq!(shape("1 + 2 ^ 3 + 4 = 0"), "(1+(2^(3+4)))=0");
    assert_eq!(shape("-1 * 2 = 0"), "(-1*2)=0");
}

#[test]
fn errors_point_at_the_word() {
    for (text, at) in [
        ("tcp port", 8),
        ("src proto 1", 4),
        ("net 10/8", 6),
        ("tcp prot 80", 4),
        ("(tcp", 4),
        ("link[0:3] = 0", 7),
        ("byte 1 != 2", 7),
        ("pppoed 1234", 7),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.span.start, at, "{}", error.render(text));
    }
}

#[test]
fn limits_have_names() {
    let deep = "(".repeat(30_000);
    assert_eq!(parse(&deep).unwrap_err().kind, crate::ErrorKind::Limit);
    let long = "tcp or ".repeat(10_000);
    assert_eq!(parse(&long).unwrap_err().kind, crate::ErrorKind::Limit);
    let flat = format!("{}tcp", "tcp or ".repeat(9_000));
    assert!(parse(&flat).is_ok());
    let sum = format!("{}1 = 1", "1 + ".repeat(9_000));
    assert_eq!(parse(&sum).unwrap_err().kind, crate::ErrorKind::Limit);
}
