//! AWS's crate as a program: `build` is what its eif_build does (EifBuilder::write_to),
//! `describe` what nitro-cli's describe-eif does (EifReader), both as JSON.
//!
//!     eif_tool build OUTPUT KERNEL CMDLINE METADATA|- CERTIFICATE|- KEY|- RAMDISK...
//!     eif_tool describe FILE
use aws_nitro_enclaves_image_format::defs::{EifBuildInfo, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::identity::parse_custom_metadata;
use aws_nitro_enclaves_image_format::utils::{get_pcrs, EifBuilder, PcrSignatureChecker, SignEnclaveInfo};
use serde_json::{json, Value};
use sha2::{Digest, Sha384};
use std::fs::OpenOptions;
use std::path::Path;

fn build(args: &[String]) -> Result<Value, String> {
    let (output, kernel, cmdline) = (&args[0], &args[1], &args[2]);
    let custom_info = match args[3].as_str() {
        "-" => json!(null),
        path => parse_custom_metadata(path)?,
    };
    let sign_info = match args[4].as_str() {
        "-" => None,
        certificate => Some(SignEnclaveInfo::new(certificate, &args[5])?),
    };
    let identity = EifIdentityInfo {
        img_name: "payments".into(),
        img_version: "1.4.2".into(),
        build_info: EifBuildInfo {
            build_time: "2026-11-29T09:00:00+00:00".into(),
            build_tool: "eif_tool".into(),
            build_tool_version: "0.2.0".into(),
            img_os: "Linux".into(),
            img_kernel: "4.14.256".into(),
        },
        docker_info: json!({"Os": "linux", "Size": 208650970, "RepoTags": ["payments:latest"]}),
        custom_info,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(output)
        .map_err(|e| e.to_string())?;
    let mut eif =
        EifBuilder::new(Path::new(kernel), cmdline.clone(), sign_info, Sha384::new(), 0, identity);
    for ramdisk in &args[6..] {
        eif.add_ramdisk(Path::new(ramdisk));
    }
    Ok(json!({ "Measurements": eif.write_to(&mut file) }))
}

/// The members of nitro-cli's EifDescribeInfo (its src/common/json_output.rs).
fn describe(args: &[String]) -> Result<Value, String> {
    let mut eif = EifReader::from_eif(args[0].clone())?;
    let is_signed = eif.signature_section.is_some();
    let measurements = get_pcrs(
        &mut eif.image_hasher,
        &mut eif.bootstrap_hasher,
        &mut eif.app_hasher,
        &mut eif.cert_hasher,
        Sha384::new(),
        is_signed,
    )?;
    let mut all = json!({
        "EifVersion": eif.get_header().version,
        "Measurements": measurements,
        "IsSigned": is_signed,
        "CheckCRC": eif.check_crc(),
    });
    if is_signed {
        all["SigningCertificate"] =
            serde_json::to_value(eif.get_certificate_info(measurements)?).map_err(|e| e.to_string())?;
        all["SignatureCheck"] = json!(eif.sign_check);
        // What nitro-cli run-enclave demands before it loads the file.
        PcrSignatureChecker::from_eif(&args[0])?.verify()?;
    }
    if let Some(identity) = eif.get_metadata() {
        all["ImageName"] = json!(identity.img_name);
        all["ImageVersion"] = json!(identity.img_version);
        let mut metadata = serde_json::to_value(identity.build_info).map_err(|e| e.to_string())?;
        metadata["DockerInfo"] = identity.docker_info;
        if let Value::Object(custom) = identity.custom_info {
            metadata.as_object_mut().unwrap().extend(custom);
        }
        all["Metadata"] = metadata;
    }
    Ok(all)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.first().map(String::as_str) {
        Some("build") if args.len() >= 8 => build(&args[1..]),
        Some("describe") if args.len() == 2 => describe(&args[1..]),
        _ => Err("usage: eif_tool build|describe ...".into()),
    };
    match result {
        Ok(json) => println!("{}", serde_json::to_string_pretty(&json).unwrap()),
        Err(error) => {
            eprintln!("eif_tool: {}", error);
            std::process::exit(1);
        }
    }
}
