"""Tags of words as labels of tokens, for words and for running text."""

import numpy as np
import pytest

from jobs.demo.training.languages import POS_LABELS
from jobs.demo.training.texts import TaggedSentence, Text
from jobs.demo.training.tokens import TaggedTokens, tokenize, tokenize_split, tokenize_written
from model import XLMRobertaXLTokenizer
from tests.tiny_tokenizer import write_tiny_sentencepiece

ENGLISH = TaggedSentence(
    "en", ("She", "reads", "(", "slowly", ")", "."), ("PRON", "VERB", "PUNCT", "ADV", "PUNCT", "PUNCT")
)
CHINESE = TaggedSentence("zh", ("小船", "离开", "了", "港口", "。"), ("NOUN", "VERB", "PART", "NOUN", "PUNCT"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> XLMRobertaXLTokenizer:
    directory = tmp_path_factory.mktemp("tokenizer")
    write_tiny_sentencepiece(directory)
    return XLMRobertaXLTokenizer.from_pretrained(directory)


def words_of(tokens: TaggedTokens, tokenizer: XLMRobertaXLTokenizer) -> list[tuple[str, str]]:
    """Words put together again from the labels: B begins one, I goes on."""
    words: list[tuple[str, str]] = []
    for token, label in zip(tokenizer.convert_ids_to_tokens(tokens.ids.tolist()), tokens.labels, strict=True):
        name = POS_LABELS[label]
        text = token.replace("▁", "")
        if name.startswith("B"):
            words.append((text, name[2:]))
        else:
            assert name[2:] == words[-1][1]
            words[-1] = (words[-1][0] + text, name[2:])
    return words


def test_words_alone_keep_their_tags(tokenizer: XLMRobertaXLTokenizer) -> None:
    for sentence, tokens in zip([ENGLISH, CHINESE], tokenize_split([ENGLISH, CHINESE], tokenizer), strict=True):
        assert words_of(tokens, tokenizer) == list(zip(sentence.words, sentence.tags, strict=True))


def test_written_text_has_blanks_where_people_write_them(tokenizer: XLMRobertaXLTokenizer) -> None:
    english, chinese = tokenize_written([ENGLISH, CHINESE], tokenizer)
    assert tokenizer.decode(english.ids.tolist()) == "She reads (slowly)."
    assert " " not in tokenizer.decode(chinese.ids.tolist())


def test_tags_of_written_text_are_those_of_its_words(tokenizer: XLMRobertaXLTokenizer) -> None:
    [english] = tokenize_written([ENGLISH], tokenizer)
    found = words_of(english, tokenizer)
    assert [tag for word, tag in found if word] == list(ENGLISH.tags)
    assert "".join(word for word, _ in found) == "Shereads(slowly)."


def test_texts_can_be_cut_where_words_begin(tokenizer: XLMRobertaXLTokenizer) -> None:
    texts = [Text("a", "en", "The library lends books"), Text("a", "zh", "小船离开了港口。")]
    tokens = tokenize(texts, tokenizer)
    assert len(tokens) == 2
    begins = tokens.begins_word[: tokens.offsets[1]]
    pieces = np.array(tokenizer.convert_ids_to_tokens(tokens[0].tolist()))
    assert [piece[0] == "▁" for piece in pieces] == begins.tolist()
    assert sum(begins) == 4
    assert tokens.begins_word[tokens.offsets[1] :].all()
    assert tokens[0].tolist() == tokenizer.encode(texts[0].text, add_special_tokens=False)
