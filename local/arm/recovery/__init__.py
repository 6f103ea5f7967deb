"""Microsoft.RecoveryServices: vaults that back virtual machines up, as the recordings show them."""
