"""Holds an export against its format's own validator. Usage: check.py FORMAT FILE [PUBLIC_KEY]; says why not, and exits 1."""

import json
import sys


def slsa(path):
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    # An unknown key, or a value of the wrong type, is an error of the parser.
    document = json.load(open(path))
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    assert statement.predicate_type == "https://slsa.dev/provenance/v1", statement.predicate_type
    provenance = json_format.ParseDict(document["predicate"], provenance_pb2.Provenance())
    assert provenance.build_definition.build_type and provenance.run_details.builder.id
    for dependency in provenance.build_definition.resolved_dependencies:
        from packageurl import PackageURL

        assert str(PackageURL.from_string(dependency.uri).name), dependency


def spdx(path):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    messages = validate_full_spdx_document(parse_file(path))
    assert not messages, "\n".join(message.validation_message for message in messages)


def cyclonedx(path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(path).read())
    assert error is None, error


def dsse(path, key_path):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    document = json.load(open(path))
    key_id = document["signatures"][0]["keyid"]
    key = SSlibKey.from_crypto(load_pem_public_key(open(key_path, "rb").read()), key_id)
    Envelope.from_dict(document).verify([key], 1)


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except Exception as error:  # noqa: BLE001: whatever the validator raises is its answer.
        print(f"{type(error).__name__}: {error}")
        sys.exit(1)
