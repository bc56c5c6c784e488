using System.Text.Json;

namespace RbeMl.Storage;

/// <summary>Reads metadata strictly: what is missing or of another kind is an error that names file and key. Unknown keys are ignored.</summary>
/// <param name="Path">The file.</param>
/// <param name="Where">What the object describes.</param>
/// <param name="Json">The object.</param>
internal readonly record struct JsonFields(string Path, string Where, JsonElement Json)
{
    /// <summary>An object within.</summary>
    public JsonFields Object(string key) => Find(key, JsonValueKind.Object) is { } value ? new JsonFields(Path, $"{Where}.{key}", value)
        : throw Wrong(key, "an object");

    /// <summary>An object within, or null when there is none.</summary>
    public JsonFields? OptionalObject(string key) => Json.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null
        ? Object(key) : null;

    /// <summary>The objects of an array.</summary>
    public IReadOnlyList<JsonFields> Objects(string key)
    {
        JsonElement array = Find(key, JsonValueKind.Array) ?? throw Wrong(key, "an array");
        List<JsonFields> items = [];
        foreach (JsonElement item in array.EnumerateArray())
        {
            JsonFields fields = new(Path, $"{Where}.{key}[{items.Count}]", item);
            items.Add(item.ValueKind == JsonValueKind.Object ? fields : throw Wrong(key, "an array of objects"));
        }

        return items;
    }

    /// <summary>A text.</summary>
    public string Text(string key)
    {
        try
        {
            return Find(key, JsonValueKind.String)?.GetString() ?? throw Wrong(key, "a text");
        }
        catch (InvalidOperationException)
        {
            throw Wrong(key, "a text"); // an unpaired surrogate
        }
    }

    /// <summary>The texts of an array, or null when there is none.</summary>
    public string[]? OptionalTexts(string key)
    {
        if (!Json.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return null;
        List<string> texts = [];
        try
        {
            foreach (JsonElement item in value.EnumerateArray()) texts.Add(item.GetString() ?? throw Wrong(key, "an array of texts"));
        }
        catch (InvalidOperationException)
        {
            throw Wrong(key, "an array of texts"); // of another kind, or an unpaired surrogate
        }

        return [.. texts];
    }

    /// <summary>Sides of a tensor: up to <paramref name="most"/> whole numbers of 0 or more.</summary>
    public long[] Sides(string key, int most)
    {
        JsonElement array = Find(key, JsonValueKind.Array) ?? throw Wrong(key, "an array");
        if (array.GetArrayLength() > most) throw Wrong(key, $"at most {most} sides");
        long[] sides = new long[array.GetArrayLength()];
        for (int i = 0; i < sides.Length; i++)
        {
            if (array[i].ValueKind != JsonValueKind.Number || !array[i].TryGetInt64(out sides[i]) || sides[i] < 0)
            {
                throw Wrong(key, "an array of whole numbers of 0 or more");
            }
        }

        return sides;
    }

    /// <summary>An array of at most <paramref name="most"/> token ids, or null when there is none.</summary>
    public int[]? OptionalIds(string key, int vocabulary, int most)
    {
        if (!Json.TryGetProperty(key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return null;
        string expected = $"an array of at most {most} ids from 0 to {vocabulary - 1}";
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > most) throw Wrong(key, expected);
        List<int> ids = [];
        foreach (JsonElement item in value.EnumerateArray())
        {
            ids.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int id) && id >= 0 && id < vocabulary ? id : throw Wrong(key, expected));
        }

        return [.. ids];
    }

    /// <summary>A whole number in a range.</summary>
    public int Whole(string key, int least, int most) =>
        Find(key, JsonValueKind.Number) is { } value && value.TryGetInt32(out int number) && number >= least && number <= most
            ? number
            : throw Wrong(key, $"a whole number from {least} to {most}");

    /// <summary>A whole number in a range, or null when there is none.</summary>
    public int? OptionalWhole(string key, int least, int most) => Json.TryGetProperty(key, out _) ? Whole(key, least, most) : null;

    /// <summary>A finite number.</summary>
    public double Real(string key) =>
        Find(key, JsonValueKind.Number) is { } value && value.TryGetDouble(out double number) && double.IsFinite(number) ? number
            : throw Wrong(key, "a number");

    /// <summary>A finite number, or null when there is none.</summary>
    public double? OptionalReal(string key) => Json.TryGetProperty(key, out _) ? Real(key) : null;

    /// <summary>True or false, or null when there is neither.</summary>
    public bool? OptionalFlag(string key) => Json.TryGetProperty(key, out _) ? Flag(key) : null;

    /// <summary>True or false.</summary>
    public bool Flag(string key) =>
        Json.TryGetProperty(key, out JsonElement value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
            : throw Wrong(key, "true or false");

    /// <summary>One of an enumeration's names.</summary>
    public T Name<T>(string key)
        where T : struct, Enum
    {
        string text = Text(key);
        return Enum.GetNames<T>().Contains(text) ? Enum.Parse<T>(text) : throw Unknown(key, text, string.Join(", ", Enum.GetNames<T>()));
    }

    /// <summary>One of an enumeration's names, or null when there is none.</summary>
    public T? OptionalName<T>(string key)
        where T : struct, Enum => Json.TryGetProperty(key, out _) ? Name<T>(key) : null;

    /// <summary>The error for a name that a later version may know.</summary>
    public RbeFileException Unknown(string key, string value, string known) =>
        new(Path, $"{Where}.{key} is \"{value}\"; this version knows {known}. Update RbeMl.");

    private JsonElement? Find(string key, JsonValueKind kind) => Json.TryGetProperty(key, out JsonElement value) && value.ValueKind == kind ? value : null;

    private RbeFileException Wrong(string key, string expected) =>
        new(Path, $"its metadata lacks {Where}.{key}, or it is not {expected}. The file was made by another program or version; write it again.");
}
