"""How archives are answered that send films by C-STORE or STOW-RS."""

SUCCESS, NOT_AUTHORISED, OUT_OF_RESOURCES, NO_FILM, FAILED = 0x0000, 0x0124, 0xA700, 0xC000, 0x0110
"""Statuses of C-STORE (PS3.4 B.2.3, PS3.7 C), and reasons of failure of STOW-RS (PS3.18 I.2.2)."""

CLASS_NOT_TAKEN = 0x0122
