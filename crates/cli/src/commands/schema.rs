//! `schema`: the configuration file's, for editors.

use clap::Args;

use crate::failure::Failure;
use crate::output::print;

/// Print the JSON schema of the configuration file, for editors
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        print(&evercrew_config::schema())?;
        Ok(0)
    }
}
