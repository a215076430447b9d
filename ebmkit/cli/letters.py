"""Other letters for those that a stream cannot encode."""

import codecs
import unicodedata

# What stands for the letters of our own texts; accented ones lose their accents.
STAND_INS = {
    **{"·": "|", "×": "x", "±": "+-", "∝": "~", "√": "sqrt", "∈": "in", "≤": "<=", "≥": ">=", "→": "->", "½": "1/2"},
    **{"²": "^2", "³": "^3", "⁻": "^-", "‖": "||", "⟨": "<", "⟩": ">", "∫": "integral", "∂": "d"},
    **{"–": "-", "—": "-", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"', "━": "-", "╸": "-", "╺": "-", "▀": "#"},
    **{"α": "alpha", "β": "beta", "γ": "gamma", "θ": "theta", "λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma"},
    **{"π": "pi", "Δ": "Delta", "Λ": "Lambda", "Σ": "Sum"},
}
LETTERS = "ebmkit.letters"  # the name of the error handler of codecs


def other_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""The error handler `LETTERS`: other letters for those that an encoding does not have.

    A letter of our own texts gets its stand-in, an accented Latin letter loses its accent, and any other one becomes
    its escape, like `\u4e2d`. Bytes of file names that are not text are written as they are.

    Raises:
        UnicodeError: if the error is not one of encoding.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    other = "" if unicodedata.combining(letter) else STAND_INS.get(letter) or plain or escaped(letter)
    return other, error.start + 1


def escaped(text: str) -> str:
    r"""Text in ASCII: every other letter is an escape of TOML and JSON, like `\u00e9`."""
    return "".join(
        letter if letter.isascii() else f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
        for letter in text
    )


codecs.register_error(LETTERS, other_letters)
