//! Files of other tools, read for `pm import`: compose files and Procfiles; whatever else is PM2's.

use std::path::Path;

use super::fail::{Code, CommandError};
use super::output::harmless;
use super::pm2;
use super::session::Session;
use crate::ecosystem;
use crate::import::{of_compose, of_procfile};
use crate::os;
use crate::pm2::{Misfit, Translation};

/// What files of other tools are called, in the order in which they are looked for.
pub(super) const NAMES: [&str; 5] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", "Procfile"];

/// Reads the file of another tool.
///
/// # Errors
/// It cannot be read as what it is.
pub(super) fn read(session: &mut Session, path: &Path, text: Vec<u8>) -> Result<Translation, CommandError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.starts_with("Procfile") {
        let text = String::from_utf8(text).map_err(|_| broken(path, "it is not UTF-8"))?;
        let has_env_file = path.parent().is_some_and(|folder| os::exists(&folder.join(".env")));
        return of_procfile(&text, has_env_file).map_err(|misfit| unusable(path, &misfit));
    }
    let is_data =
        path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
    if is_data && !pm2::is_of_pm2(path) {
        let data = ecosystem::data(path, &text);
        let is_compose = name.starts_with("compose.") || name.starts_with("docker-compose");
        match data {
            Ok(data) if is_compose || (data.get("services").is_some() && data.get("apps").is_none()) => {
                return of_compose(&data).map_err(|misfit| unusable(path, &misfit));
            }
            Err(why) if is_compose => return Err(broken(path, &why)),
            _ => {}
        }
    }
    pm2::read(session, path, text, None)
}

fn broken(path: &Path, why: &str) -> CommandError {
    CommandError::new(Code::File, format!("cannot read `{}`: {}", path.display(), harmless(why)))
}

fn unusable(path: &Path, Misfit(reasons): &Misfit) -> CommandError {
    let details = reasons.iter().map(|reason| harmless(reason).into_owned()).collect();
    CommandError { details, ..CommandError::new(Code::File, format!("`{}` cannot be imported", path.display())) }
}
