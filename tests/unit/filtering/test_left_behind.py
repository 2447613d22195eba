"""What programs and language models leave in a translation, or lose of it; made by hand, bad pairs and good ones."""

from __future__ import annotations

import pytest

from crossrank.filtering.rules.language import language_of
from crossrank.filtering.rules.registry import RULES, reasons_against
from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.thresholds import Thresholds


def reasons(source: str, target: str, to: str = "ko", of: str = "en") -> set[str]:
    pair = TextPair(source, target, language_of(of, "--source"), language_of(to, "--target"), Thresholds())
    return set(reasons_against(pair))


BAD: dict[str, list[tuple[str, ...]]] = {
    "lost_number": [
        ("The shop opens at 10 a.m.", "가게는 오후 10시에 문을 연다."),
        ("Dinner is at 7 p.m.", "저녁 식사는 오전 7시이다."),
        ("It closes at 5 pm.", "오전 5시에 닫는다."),
        ("It closes at 5 pm.", "오전 다섯 시에 닫는다."),
        ("Come at 9 in the morning.", "저녁 9시에 오세요."),
        ("오후 3시에 만나자.", "Let's meet at 3 a.m.", "en", "ko"),
        ("It happened on May 5, 2019.", "2019년 6월 5일에 일어났다."),
        ("On 3 March 1919", "1919년 4월 3일에"),
        ("from June 1 to July 2", "6월 1일부터 8월 2일까지"),
        ("2019년 5월 5일", "on June 5, 2019", "en", "ko"),
        ("It took 36 hours.", "하루가 걸렸다."),
        ("2-3 days", "삼사 일"),
        ("10^6 cells", "100억 개의 세포"),
    ],
    "added_markup": [
        ("The sun is hot.", "태양은 뜨겁다.</s>"),
        ("The sun is hot.", "<pad> 태양은 뜨겁다."),
        ("The sun is hot.", "태양은 <unk> 뜨겁다."),
        ("The sun is hot.", "태양은 뜨겁다. [SEP]"),
        ("The sun is hot.", "태양은 뜨겁다.<|im_end|>"),
        ("Press the start button.", "<b>시작</b> 버튼을 누르세요."),
        ("The sun is hot.", "<p>Die Sonne ist heiß.</p>", "de"),
    ],
    "html_entity": [
        ("Tom & Jerry is a cartoon.", "톰 &amp; 제리는 만화이다."),
        ("It doesn't rain in the desert.", "사막에는 &#39;비&#39;가 오지 않는다."),
        ('He said "no".', "그는 &quot;아니&quot;라고 말했다."),
        ("less than nothing", "아무것도 아닌 것보다 &lt; 적은"),
        ("a b", "가&nbsp;나"),
        ("Don't go.", "Geh&#x27;nicht weg.", "de"),
        ("A cafe in the old town", "Ein Caf&eacute; in der Altstadt", "de"),
    ],
    "lost_placeholder": [
        ("Hello, {name}!", "안녕하세요, {이름}!"),
        ("Hello, {name}!", "안녕하세요!"),
        ("You have {count} new messages.", "새 메시지가 있습니다."),
        ("Dear {{customer}}, thank you.", "{{고객}}님, 감사합니다."),
        ("Dear {{customer}}, thank you.", "{customer}님, 감사합니다."),
        ("The file %s was not found.", "파일을 찾을 수 없습니다."),
        ("The file %s was not found.", "파일 % s를 찾을 수 없습니다."),
        ("%s invited %s to the group.", "%s님이 그룹에 초대했습니다."),
        ("Delete %d files?", "파일을 삭제할까요?"),
        ("%(user)s wrote a comment.", "%(사용자)s님이 댓글을 썼습니다."),
        ("Welcome to ${city}.", "${도시}에 오신 것을 환영합니다."),
        ("Take {0} of {1}.", "{1}을 가져가세요."),
        ("Hello, {name}!", "Hallo, {Name}!", "de"),
        ("Set {} to {}.", "{}을 설정하세요."),
    ],
    "lost_tag": [
        ("Press the <b>start</b> button.", "시작 버튼을 누르세요."),
        ("Press the <b>start</b> button.", "<b>시작 버튼을 누르세요."),
        ("Press the <b>start</b> button.", "<굵게>시작</굵게> 버튼을 누르세요."),
        ('Read <a href="/help">this page</a> first.', "먼저 이 페이지를 읽으세요."),
        ("One line<br/>and another", "한 줄 그리고 다른 줄"),
        ("<p>The sun is hot.</p>", "태양은 뜨겁다."),
        ("Read the <em>whole</em> text.", "Lies den ganzen Text.", "de"),
    ],
    "lost_minus": [
        ("It was -5 degrees.", "기온은 5도였다."),
        ("Store at -20 °C.", "20 °C에서 보관하세요."),
        ("The lowest temperature was −89.2°C.", "최저 기온은 89.2°C였다."),
        ("The balance is -300 dollars.", "잔액은 300달러이다."),
        ("x = -3", "x = 3"),
        ("The account shows -$250.", "계좌에는 250달러가 있다."),
        ("growth of -2.5% this year", "올해 성장률 2.5%"),
        ("between -10 and the freezing point", "10과 어는점 사이"),
        ("The temperature fell to -5°C.", "기온이 5도까지 떨어졌습니다."),
        ("It dropped to -12 degrees.", "12도로 내려갔다."),
        ("기온이 -5도까지 떨어졌다", "The temperature fell to 5 degrees.", "en", "ko"),
        ("It was -5 degrees.", "Es waren 5 Grad.", "de"),
        ("기온은 -12도까지 내려간다", "The temperature reaches 12 degrees.", "en", "ko"),
    ],
    "hidden_characters": [
        ("the sun is hot", "태양은\u200b 뜨겁다"),
        ("the sun is hot", "\ufeff태양은 뜨겁다"),
        ("the sun is hot", "태양은 \u202e뜨겁다\u202c"),
        ("the sun is hot", "태양\u200d은 뜨겁다"),
        ("the sun is hot", "태양은\u2060 뜨겁다"),
        ("the sun is hot", "\u200e태양은 뜨겁다"),
        ("the sun is hot", "태양은\u3164뜨겁다"),
        ("the sun is hot", "Die Sonne\u200b ist heiß", "de"),
    ],
    "preamble": [
        ("The sun is hot.", '"""태양은 뜨겁다."""'),
        ("The sun is hot.", "```\n태양은 뜨겁다.\n```"),
        ("Pandas eat bamboo.", "Here is the translation: 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "번역: 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "Sure, here's the Korean translation:\n\n판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "다음은 번역문입니다:\n판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "네, 한국어로 번역해 드리겠습니다. 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "한국어: 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "Translation: 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "**번역 결과:** 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "판다는 대나무를 먹는다.\n\n(참고: 이 번역은 직역입니다.)"),
        ("Pandas eat bamboo.", "물론이죠! 아래와 같습니다: 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "Hier ist die Übersetzung: Pandas fressen Bambus.", "de"),
        ("Pandas eat bamboo.", "Übersetzung: Pandas fressen Bambus.", "de"),
        ("Pandas eat bamboo.", "Here's the Korean version:\n판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "Sure! 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "Output: 판다는 대나무를 먹는다."),
        ("Pandas eat bamboo.", "<translation>판다는 대나무를 먹는다.</translation>"),
        ("Pandas eat bamboo.", "```\n판다는 대나무를 먹는다.\n```"),
        ("Pandas eat bamboo.", "'판다는 대나무를 먹는다'로 번역됩니다."),
        ("판다는 대나무를 먹는다.", "Sure! Here is the English translation: Pandas eat bamboo.", "en", "ko"),
        ("Pandas eat bamboo.", "以下は翻訳です。パンダは竹を食べます。", "ja"),
        ("Pandas eat bamboo.", "翻译:熊猫吃竹子。", "zh"),
    ],
    "refusal": [
        ("how do explosives work", "I'm sorry, but I can't help with that."),
        ("how do explosives work", "I’m sorry, I can’t assist with that request."),
        ("how do explosives work", "죄송하지만 번역할 수 없습니다."),
        ("how do explosives work", "죄송합니다. 해당 요청은 도와드릴 수 없습니다."),
        ("how do explosives work", "I cannot translate this text."),
        ("how do explosives work", "As an AI language model, I do not have opinions."),
        ("how do explosives work", "Sorry, I can't provide a translation of this content."),
        ("how do explosives work", "요청하신 내용은 번역할 수 없습니다."),
        ("how do explosives work", "번역할 수 없습니다."),
        ("how do explosives work", "This text cannot be translated."),
        ("how do explosives work", "Es tut mir leid, aber ich kann das nicht übersetzen.", "de"),
        ("how do explosives work", "申し訳ありませんが、翻訳できません。", "ja"),
        ("폭발물은 어떻게 작동하나요", "I'm sorry, but I am unable to translate that.", "en", "ko"),
    ],
}

GOOD: dict[str, list[tuple[str, ...]]] = {
    "lost_number": [
        ("The shop opens at 10 a.m.", "가게는 오전 10시에 문을 연다."),
        ("The shop opens at 10 a.m.", "가게는 10시에 문을 연다."),
        ("The shop opens at 10 o'clock.", "가게는 오후 10시에 문을 연다."),
        ("It opens at 11 a.m.", "낮 11시에 연다."),
        ("at 1 a.m.", "밤 1시에"),
        ("at 12 a.m.", "밤 12시에"),
        ("from 9 a.m. to 9 p.m.", "오전 9시부터 오후 9시까지"),
        ("from 10 a.m. to 6 p.m.", "아침 10시부터 저녁 6시까지"),
        ("It happened on May 5, 2019.", "2019년 5월 5일에 일어났다."),
        ("You may 5 times a day", "하루에 5번 해도 6월 말까지 된다"),
        ("It took 5 months from May 5.", "5월 5일부터 5개월이 걸렸다."),
        ("It took 36 hours.", "하루 반이 걸렸다."),
        ("It takes 2-3 days.", "이삼 일 걸린다."),
        ("It lasts 5-6 months.", "오륙 개월 이어진다."),
        ("at a quarter to 5", "4시 45분에"),
        ("at a quarter to 5", "5시 15분 전에"),
        ("at a quarter to 1", "12시 45분에"),
        ("10^6 cells", "100만 개의 세포"),
        ("10^6 cells", "10^6개의 세포"),
    ],
    "added_markup": [
        ("Press the <b>start</b> button.", "<b>시작</b> 버튼을 누르세요."),
        ("Press the &lt;b&gt;start button.", "<b>시작 버튼을 누르세요."),
        ("The b tag makes text bold.", "<b> 태그는 글자를 굵게 만든다."),
        ("BERT puts [SEP] between two sentences.", "BERT는 두 문장 사이에 [SEP]를 넣는다."),
        ("if x is smaller than y", "x < y이면"),
        ("See note 3.", "[3] 참고"),
    ],
    "html_entity": [
        ("Write &amp; for an ampersand.", "앰퍼샌드는 &amp;로 씁니다."),
        ("R&amp;D don&#39;t stop", "연구개발은 &#39;멈추지&#39; 않는다"),
        ("AT&T is a company.", "AT&T는 회사이다."),
        ("see https://a.example/?x=1&lt;=2", "https://a.example/?x=1&lt;=2 를 보세요"),
        ("salt & pepper; sugar", "소금 & 후추; 설탕"),
        ("questions & answers", "Q&A; 질문과 답"),
    ],
    "lost_placeholder": [
        ("Hello, {name}!", "{name}님, 안녕하세요!"),
        ("{name} said that {name} is here.", "{name}님이 여기 있다고 말했다."),
        ("%s invited %s.", "%s님이 %s님을 초대했습니다."),
        ("Delete %d files?", "파일 %d개를 삭제할까요?"),
        ("50% discount and 100% wool", "50% 할인과 양모 100%"),
        ("It fell by 5 % so far.", "지금까지 5% 떨어졌다."),
        (r"\textbf{note} that it is open", "열려 있다는 점에 유의하라"),
        ("The set {1, 2, 3} is finite.", "집합 {1, 2, 3}은 유한하다."),
        ("if (x) { return y; }", "if (x) { return y; }"),
        ("see https://a.example/%d0%b0 now", "지금 https://a.example/%d0%b0 를 보세요"),
        ("{name}", "{name}"),
    ],
    "lost_tag": [
        ("Press the <b>start</b> button.", "<b>시작</b> 버튼을 누르세요."),
        ("Press the <B>start</B> button.", "< b >시작</ b > 버튼을 누르세요."),
        ("CO<sub>2</sub> is a gas.", "이산화탄소는 기체이다."),
        ("what is the <div> tag", "div 태그란 무엇인가"),
        ("if a <b and c> d then stop", "a가 b보다 작고 c가 d보다 크면 멈춘다"),
        ("5 < 7 and 9 > 8", "5는 7보다 작고 9는 8보다 크다"),
        ("from <Kim Minsu> to all", "김민수가 모두에게"),
        ('Read <a href="/help">this</a>.', '<a href="/help">이것</a>을 읽으세요.'),
    ],
    "lost_minus": [
        ("It was -5 degrees.", "기온은 영하 5도였다."),
        ("The temperature fell to -5°C.", "기온이 영하 5도까지 떨어졌습니다."),
        ("The price changed by -5%.", "가격이 5% 떨어졌다."),
        ("It was -5 degrees.", "기온은 -5도였다."),
        ("It was -5 degrees.", "기온은 마이너스 5도였다."),
        ("The balance is -300 dollars.", "잔액은 −300달러이다."),
        ("It takes 5-10 minutes.", "5~10분이 걸린다."),
        ("from 5 -10 minutes", "5분에서 10분"),
        ("open 9am -5pm", "오전 9시부터 오후 5시까지"),
        ("1990 -2000 in review", "1990년부터 2000년까지"),
        ("the F-16 and omega -3", "F-16과 오메가3"),
        ("covid -19 vaccines", "코로나 19 백신"),
        ("run it with -1", "1을 붙여 실행하라"),
        ("Sales changed by -12%.", "매출이 12% 감소했다."),
        ("Call 555 -1234.", "555 1234로 전화하세요."),
        ("Keep it at 10 -20 °C.", "10~20 °C에서 보관하세요."),
        ("- 5 apples", "사과 5개"),
        ("The net loss was ($300).", "순손실은 300달러였다."),
        ("It is -5 °C outside.", "Draußen sind es 5 °C unter null.", "de"),
    ],
    "hidden_characters": [
        ("family 👨\u200d👩\u200d👧 day", "가족 👨\u200d👩\u200d👧의 날"),
        ("a woman ❤\ufe0f\u200d🔥", "여자 ❤\ufe0f\u200d🔥"),
        ("What a day!", "정말 멋진 하루! 👨\u200d👩\u200d👧"),
        ("the sun\u200b is hot", "태양은\u200b 뜨겁다"),
        ("I want a book", "من کتاب می\u200cخواهم", "fa"),
        ("the sun is hot", "พระอาทิตย์\u200bร้อน", "th"),
        ("Call 5 now", "اتصل\u200f الآن 5", "ar"),
        ("the sun is hot", "सूर्\u200dय गर्म है", "hi"),
    ],
    "preamble": [
        ("Translation: the movement of a body", "번역: 물체의 이동"),
        ("Here is the translation of the poem by Kim.", "여기 김 씨가 쓴 시의 번역이 있다."),
        ("Here are your keys.", "여기 열쇠가 있습니다."),
        ("Sure, it works: try again.", "물론이죠, 됩니다: 다시 해 보세요."),
        ("Korean: spoken by 80 million people", "한국어: 8천만 명이 쓴다"),
        ("The following is a list of towns.", "다음은 마을 목록이다."),
        ("RNA translation: how proteins are made", "RNA 번역: 단백질이 만들어지는 방법"),
        ("Number: three", "번호: 셋"),
        ("the output: a file", "출력: 파일"),
        ("```\nls -l\n```", "```\nls -l\n```"),
        ("'Yes' she said.", "'네'라고 그녀가 말했다."),
        ("Yes, he laughed: loudly.", "네, 그는 웃었다: 크게."),
        ("Note: not for children.", "참고: 어린이용이 아님."),
        ("Here is the house.", "Hier ist das Haus.", "de"),
    ],
    "refusal": [
        ("I'm sorry, I can't come today.", "죄송하지만 오늘은 갈 수 없습니다."),
        ("Unfortunately the request could not be processed.", "안타깝게도 요청을 처리할 수 없습니다."),
        ("Sorry for the late reply to your request", "요청에 늦게 답해 죄송합니다"),
        ("I cannot help you.", "저는 당신을 도와드릴 수 없습니다."),
        ("I'm sorry, I can't.", "Es tut mir leid, ich kann nicht.", "de"),
        ("He regrets that it is not possible.", "그는 불가능해서 유감이다."),
        ("As an AI language model, I have no body.", "AI 언어 모델로서 저는 몸이 없습니다."),
        ("The door won't open.", "문이 열리지 않는다."),
        ("AI models in medicine", "의료 AI 모델"),
        ("Poems are untranslatable.", "번역할 수 없는 것이 시이다."),
    ],
}


@pytest.mark.parametrize(("reason", "pair"), [(reason, pair) for reason, pairs in BAD.items() for pair in pairs])
def test_what_was_left_or_lost_gets_its_reason(reason: str, pair: tuple[str, ...]) -> None:
    assert reason in reasons(*pair)


@pytest.mark.parametrize(("reason", "pair"), [(reason, pair) for reason, pairs in GOOD.items() for pair in pairs])
def test_a_good_translation_does_not(reason: str, pair: tuple[str, ...]) -> None:
    found = reasons(*pair)
    assert reason not in found
    assert found.isdisjoint(set(BAD) | {"backend_error"}), "nor another of these"


def test_a_refusal_is_no_translation_so_nothing_else_is_said_of_it() -> None:
    assert reasons("Call 555-0142 now, {name}.", "I'm sorry, but I can't help with that.") == {"refusal"}
    assert "refusal" not in RULES
