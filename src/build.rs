//! Rebuilds when what is embedded changes: the compiler does not see those files by itself.

fn main() {
    for embedded in ["migrations", "static", "templates"] {
        println!("cargo:rerun-if-changed={embedded}");
    }
}
