# openssl: digests, a cipher, a status.
# needs: openssl
# run:
echo x | openssl dgst -sha256; echo x | openssl enc -aes-128-cbc -K 00 -iv 00 2>/dev/null | od -An -tx1; openssl nonsense >/dev/null 2>&1; echo "status $?"
