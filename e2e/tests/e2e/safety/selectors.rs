//! Label selectors: what the program takes, the server takes, and nothing else is ever sent.

use e2e::{ControlPlane, Finished, require, workload};

use super::scene::Scene;

const GOOD: [&str; 14] = [
    "app=orders",
    "app==orders",
    " app = orders , tier != web ",
    "app in (orders, bills),!canary",
    "app notin (bills)",
    "app",
    "app=",
    "app in ()",
    "app in (,orders)",
    "in in (in)",
    "size>3,size<10",
    "app.kubernetes.io/name=orders",
    "app=orders,app=orders",
    "A_b-c.9=Z_z-z.0",
];

const BAD: [&str; 20] = [
    "a=b=c",
    "app=orders,",
    ",app=orders",
    "=orders",
    "app in orders",
    "app in (a,b",
    "app in a,b)",
    "app orders",
    "app=ord/ers",
    "app=-orders",
    "a/b/c=d",
    "/a=d",
    "Example.com/a=d",
    "size>big",
    "size<-1",
    "size>",
    "!app=orders",
    "app=(orders)",
    "app=ørders",
    "app!orders",
];

#[test]
fn a_selector_is_judged_as_the_server_judges_it() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "selectors", 3, &[workload::deployment("orders", 3)]);
    let pods = scene.namespace.path("v1", "pods");
    let served = |selector: &str| {
        let encoded: Vec<String> = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
        scene.plane.admin().get(&format!("{pods}?labelSelector={}", encoded.concat())).status
    };
    for selector in GOOD {
        assert_eq!(served(selector), 200, "{selector:?}");
        let plan = Finished::of(scene.program(&["plan"]).env("KUBE_LABEL_SELECTOR", selector));
        assert_ne!(plan.code, Some(64), "{selector:?} {plan}");
        assert!(!plan.stderr.contains("KUBE_LABEL_SELECTOR"), "{selector:?} {plan}");
    }
    for selector in BAD {
        assert_eq!(served(selector), 400, "{selector:?}");
        let plan = Finished::of(scene.program(&["plan"]).env("KUBE_LABEL_SELECTOR", selector));
        assert_eq!((plan.code, plan.stdout.as_str()), (Some(64), ""), "{selector:?} {plan}");
        assert!(plan.stderr.contains("KUBE_LABEL_SELECTOR is"), "{selector:?} {plan}");
    }
}
