using System.Text.Json;
using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>Keys with defaults; what is there but wrong is an error that names file, key and value.</summary>
internal readonly record struct ConfigFields(string Path, JsonElement Json)
{
    private const int Limit = 1 << 24;

    /// <summary>The fields of a file.</summary>
    public static ConfigFields Read(string path, string wanted) => new(path, JsonFile.Object(path, wanted, Limit));

    /// <summary>A configuration whose values fit together.</summary>
    /// <exception cref="RbeFileException">They do not.</exception>
    public TransformerConfig Checked(TransformerConfig config)
    {
        try
        {
            return config.Validate();
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(Path, $"its configuration is wrong: {error.Message} Correct it, or download the model again.", error);
        }
    }

    public bool Has(string key) => Json.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    public int Whole(string key, int least, int most, int? missing = null)
    {
        if (!Has(key) && missing is { } value) return value;
        return Json.TryGetProperty(key, out JsonElement number) && number.ValueKind == JsonValueKind.Number
            && number.TryGetInt32(out int whole) && whole >= least && whole <= most
            ? whole
            : throw Wrong(key, $"a whole number from {least} to {most}");
    }

    public double Real(string key, double missing)
    {
        if (!Has(key)) return missing;
        JsonElement number = Json.GetProperty(key);
        return number.ValueKind == JsonValueKind.Number && number.TryGetDouble(out double real) && double.IsFinite(real) ? real
            : throw Wrong(key, "a number");
    }

    public bool Flag(string key, bool missing)
    {
        if (!Has(key)) return missing;
        JsonElement flag = Json.GetProperty(key);
        return flag.ValueKind is JsonValueKind.True or JsonValueKind.False ? flag.GetBoolean() : throw Wrong(key, "true or false");
    }

    public string Text(string key, string? missing)
    {
        if (!Has(key) && missing is not null) return missing;
        return Json.TryGetProperty(key, out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString()! : throw Wrong(key, "a text");
    }

    /// <summary>The texts of a list; none where there is no list, empty ones for what is no text.</summary>
    public string[] Names(string key) => Json.TryGetProperty(key, out JsonElement list) && list.ValueKind == JsonValueKind.Array
        ? [.. list.EnumerateArray().Select(name => name.ValueKind == JsonValueKind.String ? name.GetString()! : "")] : [];

    /// <summary>The texts of an object by their names; none where there is no object.</summary>
    public IReadOnlyDictionary<string, string> Texts(string key)
    {
        Dictionary<string, string> texts = new(StringComparer.Ordinal);
        if (!Has(key)) return texts;
        JsonElement value = Json.GetProperty(key);
        if (value.ValueKind != JsonValueKind.Object) throw Wrong(key, "an object of texts");
        foreach (JsonProperty text in value.EnumerateObject())
        {
            texts[text.Name] = text.Value.ValueKind == JsonValueKind.String ? text.Value.GetString()! : throw Wrong(key, "an object of texts");
        }

        return texts;
    }

    /// <summary>One of an enumeration's names.</summary>
    public T Name<T>(string key)
        where T : struct, Enum
    {
        string name = Text(key, null);
        return Enum.GetNames<T>().Contains(name) ? Enum.Parse<T>(name) : throw Wrong(key, $"one of {string.Join(", ", Enum.GetNames<T>())}");
    }

    public void Refuse(string key, bool refused)
    {
        if (Flag(key, !refused) == refused)
        {
            throw new RbeFileException(Path, $"has {key} = {(refused ? "true" : "false")}, which is not computed here. Use a model without it.");
        }
    }

    public void RefuseContent(string key)
    {
        if (Has(key) && Json.GetProperty(key).GetRawText().AsSpan().IndexOfAnyExcept("[]{} \t\r\n") >= 0)
        {
            throw new RbeFileException(Path, $"has {key}, which is not read here. Use a model without it.");
        }
    }

    private RbeFileException Wrong(string key, string expected) =>
        new(Path, Has(key) ? $"its {key} is {Shorten(Json.GetProperty(key).GetRawText())}, expected {expected}. Correct it."
            : $"has no {key}, {expected}. Add it.");

    private static string Shorten(string text) => text.Length <= 40 ? text : text[..40] + "...";
}
