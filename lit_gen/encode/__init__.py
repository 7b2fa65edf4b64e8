"""The command that writes the integer codes of a trained model, as the data of a second one."""
