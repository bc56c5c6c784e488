using System.Text;
using System.Text.Json;

namespace RbeMl.Fuzz.Mutation;

/// <summary>
/// Changes JSON where it means something: numbers go to extremes, types are swapped, keys vanish or come twice, texts become what no text
/// should be.
/// </summary>
internal static class JsonMutator
{
    private static readonly string[] Numbers =
    [
        "0", "-1", "1", "2", "3", "7", "8", "16", "31", "32", "33", "64", "65", "127", "128", "255", "256", "257", "1000", "4095", "4096",
            "4097", "65535", "65536", "131072", "1000000", "10000000",
        "16777216", "1000000000", "2147483647", "2147483648", "-2147483648", "4294967295", "4294967296", "9223372036854775807",
            "9223372036854775808", "-9223372036854775808", "18446744073709551615",
        "18446744073709551616", "1e9", "1e308", "1e400", "-0", "0.5", "1.5", "1e-400", "1e-30", "NaN", "01", "0x10", "0.99999999999",
    ];

    private static readonly string[] Others =
        ["null", "true", "false", "\"\"", "[]", "{}", "\"text\"", "0", "[0]", "{\"a\":0}", "\"1\"", "[[]]", "\"0\"", "1e5"];

    private static readonly string[] Texts =
        ["\"\\ud800\"", "\"\\udc00x\"", "\"\\u0000\"", "\"a\\u0000b\"", "\"../x\"", "\"/etc/passwd\"", "\"..\\\\x\"", "\"C:x\"",
            "\"\\u001b[31m\"", "\"é日\"", "\".\"", "\"..\"", "\"\\ufeff\"", "\"\\uffff\"", "\"NaN\"", "\"__metadata__\""];

    /// <summary>Changes one to three places; what is no JSON comes back as it is.</summary>
    public static byte[] Mutate(byte[] json, Dice dice)
    {
        for (int changes = 1 + dice.Below(3); changes > 0; changes--) json = Change(json, dice);
        return json;
    }

    private static byte[] Change(byte[] json, Dice dice)
    {
        if (Parse(json) is not { Count: > 0 } tokens) return json;
        int index = dice.Below(tokens.Count);
        Token token = tokens[index];
        int operation = dice.Below(12);
        if (token.IsName)
        {
            Token value = tokens[Math.Min(index + 1, tokens.Count - 1)];
            string property = Text(json, token.Start, value.End);
            return operation switch
            {
                0 or 1 or 2 => Remove(json, token.Start, value.End),
                3 or 4 => Replace(json, token.Start, token.Start, property + ","),
                5 => Replace(json, token.Start, token.End, dice.Pick(Texts)),
                6 => Replace(json, token.Start, token.End, Text(json, dice.Pick(tokens.FindAll(t => t.IsName)))),
                _ => Replace(json, value.Start, value.End, Value(json, tokens, value, dice)),
            };
        }

        return operation switch
        {
            0 => Remove(json, token.Start, token.End),
            1 => Replace(json, token.Start, token.Start, Text(json, token) + ","),
            2 => Repeat(json, token, 1 << dice.Below(8)),
            _ => Replace(json, token.Start, token.End, Value(json, tokens, token, dice)),
        };
    }

    // Another value in place of one.
    private static string Value(byte[] json, List<Token> tokens, Token old, Dice dice)
    {
        switch (dice.Below(10))
        {
            case 0:
                return dice.Pick(Others);
            case 1:
                return Text(json, dice.Pick(tokens.FindAll(t => !t.IsName)));
            case 2:
                int depth = 1 << dice.Below(13);
                return new string('[', depth) + new string(']', depth);
            case 3:
                return "\"" + new string('a', 1 << dice.Below(14)) + "\"";
            default:
                if (old.Kind == JsonTokenType.String) return dice.Pick(Texts);
                if (old.Kind is JsonTokenType.True or JsonTokenType.False) return old.Kind == JsonTokenType.True ? "false" : "true";
                if (old.Kind == JsonTokenType.Number && dice.Once(2) && long.TryParse(Text(json, old), out long number)) return Near(number, dice);
                return dice.Pick(Numbers);
        }
    }

    private static string Near(long number, Dice dice) => dice.Below(6) switch
    {
        0 => FormattableString.Invariant($"{number + 1}"),
        1 => FormattableString.Invariant($"{number - 1}"),
        2 => FormattableString.Invariant($"{number * 2}"),
        3 => FormattableString.Invariant($"{number / 2}"),
        4 => FormattableString.Invariant($"{number * 64}"),
        _ => FormattableString.Invariant($"{-number}"),
    };

    private static byte[] Repeat(byte[] json, Token token, int times)
    {
        string text = Text(json, token);
        if ((long)text.Length * times > 1 << 17) times = 1;
        return Replace(json, token.Start, token.Start, string.Concat(Enumerable.Repeat(text + ",", times)));
    }

    // With the comma after it, or else the one before.
    private static byte[] Remove(byte[] json, int start, int end)
    {
        if (end < json.Length && json[end] == (byte)',') return Replace(json, start, end + 1, "");
        if (start > 0 && json[start - 1] == (byte)',') start--;
        return Replace(json, start, end, "");
    }

    private static byte[] Replace(byte[] json, int start, int end, string text) =>
        [.. json.AsSpan(0, start), .. Encoding.UTF8.GetBytes(text), .. json.AsSpan(end)];

    private static string Text(byte[] json, Token token) => Text(json, token.Start, token.End);

    private static string Text(byte[] json, int start, int end) => Encoding.UTF8.GetString(json, start, end - start);

    private static List<Token>? Parse(byte[] json)
    {
        List<Token> tokens = [];
        Stack<int> open = [];
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 1 << 14 });
        try
        {
            while (reader.Read())
            {
                int start = (int)reader.TokenStartIndex;
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartArray or JsonTokenType.StartObject:
                        open.Push(tokens.Count);
                        tokens.Add(new Token(reader.TokenType, start, start + 1));
                        break;
                    case JsonTokenType.EndArray or JsonTokenType.EndObject:
                        int first = open.Pop();
                        tokens[first] = tokens[first] with { End = start + 1 };
                        break;
                    case JsonTokenType.String or JsonTokenType.PropertyName:
                        tokens.Add(new Token(reader.TokenType, start, start + reader.ValueSpan.Length + 2));
                        break;
                    default:
                        tokens.Add(new Token(reader.TokenType, start, start + reader.ValueSpan.Length));
                        break;
                }
            }
        }
        catch (JsonException)
        {
            return null;
        }

        return tokens;
    }

    private readonly record struct Token(JsonTokenType Kind, int Start, int End)
    {
        public bool IsName => Kind == JsonTokenType.PropertyName;
    }
}
