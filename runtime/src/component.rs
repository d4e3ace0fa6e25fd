//! What may become a function: takes the bytes of a module, says what is wrong with them, and gives a component whose
//! imports are offered and which exports a handler. Pure, so that each kind of bad module is a row in a table.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider as adapter;
use wasmparser::{ComponentTypeRef, Parser, Payload};
use wit_component::ComponentEncoder;

use crate::{
    DeployError,
    host::link::{self, HANDLER, OFFERED, VERSION},
};

/// Custom sections whose name begins so describe the interfaces of a core module (wit-component's convention).
const TYPE_SECTION: &str = "component-type";

/// The adapter that gives WASI preview 1 to core modules. Part of what an artifact depends on.
pub(crate) const ADAPTER: &[u8] = adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;

/// Makes a component of the bytes: as they are if they are one, or by way of the preview 1 adapter.
pub(crate) fn prepare(bytes: &[u8]) -> Result<Cow<'_, [u8]>, DeployError> {
    let component = if Parser::is_component(bytes) {
        Cow::Borrowed(bytes)
    } else if Parser::is_core_wasm(bytes) {
        Cow::Owned(componentize(bytes)?)
    } else {
        return Err(DeployError::NotWasm { found: beginning(bytes) });
    };
    check_surface(&component)?;
    Ok(component)
}

fn beginning(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "missing (the file is empty)".to_owned();
    }
    let hex: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    hex.join(" ")
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, DeployError> {
    if !has_type_section(module)? {
        return Err(DeployError::CoreModuleWithoutComponentType);
    }
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, ADAPTER))
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| DeployError::NotComponentizable(format!("{error:#}")))
}

fn has_type_section(module: &[u8]) -> Result<bool, DeployError> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload.map_err(|e| DeployError::Compile(e.to_string()))?
            && section.name().starts_with(TYPE_SECTION)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names at the outermost level of a component, which is all that meets the host.
#[derive(Default)]
struct Surface<'a> {
    imports: Vec<(&'a str, ComponentTypeRef)>,
    exports: Vec<&'a str>,
}

fn check_surface(component: &[u8]) -> Result<(), DeployError> {
    let surface = read_surface(component).map_err(|error| DeployError::Compile(error.to_string()))?;
    for (name, kind) in surface.imports {
        if !matches!(kind, ComponentTypeRef::Instance(_)) || !link::is_offered(name) {
            let offered = OFFERED.iter().map(|name| format!("{name}@{VERSION}")).collect();
            return Err(DeployError::UnknownImport { name: name.to_owned(), offered });
        }
    }
    if !surface.exports.iter().any(|export| link::is_handler(export)) {
        return Err(DeployError::MissingExport {
            wanted: format!("{HANDLER}@{VERSION}"),
            exports: surface.exports.iter().map(|&name| name.to_owned()).collect(),
        });
    }
    Ok(())
}

fn read_surface(component: &[u8]) -> wasmparser::Result<Surface<'_>> {
    let mut surface = Surface::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    let import = import?;
                    surface.imports.push((import.name.name, import.ty));
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    surface.exports.push(export?.name.name);
                }
            }
            _ => {}
        }
    }
    Ok(surface)
}

#[cfg(test)]
mod tests;
