//! Sets the stack size of the component.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-zstack-size=65536");
    println!("cargo::rerun-if-changed=build.rs");
}
