"""The agent: makes the kernel of one node agree with what the controller says.

gRPC reads its settings once, when it is first imported, so they stand here, before any module of this package.
"""

import os

# gRPC's Python library cannot be told a minimum version of TLS. This one suite of TLS 1.2 needs an RSA certificate,
# which neither side has, so TLS 1.3 is what is left; its own suites are not touched by it.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES128-GCM-SHA256"
