//! The file with real faults: bits turned, journals cut, crashes between, later forms, a second server.

mod backups;
mod crashes;
mod damage;
mod full;
mod rows;
mod saving;
