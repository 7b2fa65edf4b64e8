"""Networks inside coupling layers."""
