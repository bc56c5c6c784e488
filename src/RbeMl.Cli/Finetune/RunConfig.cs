using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Cli.Output;
using RbeMl.Files;

namespace RbeMl.Cli.Finetune;

/// <summary>
/// <c>run.json</c>: every option of a run, to make it again with <c>--config</c>. An option that was left out is null there; paths are relative
/// to the file's folder, so that both can be moved together.
/// </summary>
internal static class RunConfig
{
    private const string AboutKey = "about", RunIdKey = "runId", VersionKey = "version", OptionsKey = "options", UsualKey = "usual";
    private const string About = "Every option of this run. finetune --config with this file makes it again; options beside --config win; null is left out; "
        + "those in \"usual\" were not given and have their default, until another value stands here; paths are relative to this file.";
    private const int MostBytes = 1 << 20;

    // What values of options are called that are names of files.
    private static readonly string[] s_paths = ["file", "files", "folder", "model", "delta"];

    /// <summary>The values that a command line gives to options, by name; null for one that is left out.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="options">The options, without those of a single call.</param>
    /// <param name="usual">Whether the default of an option is to be written.</param>
    public static Dictionary<string, string[]?> Values(ParseResult result, IEnumerable<Option> options, Func<Option, bool> usual)
    {
        Dictionary<string, string[]?> values = [];
        foreach (Option option in options)
        {
            values[option.Name] = result.Given(option) ? [.. result.GetResult(option)!.Tokens.Select(token => token.Value)]
                : usual(option) && option is { HasDefaultValue: true, ValueType.IsArray: false } && option.GetDefaultValue() is { } value and not bool
                    ? [Convert.ToString(value, CultureInfo.InvariantCulture)!] : null;
        }

        return values;
    }

    /// <summary>The document.</summary>
    /// <param name="run">The run.</param>
    /// <param name="values">Its options.</param>
    /// <param name="options">The same as they are declared.</param>
    /// <param name="usual">Names of those that were not given.</param>
    /// <param name="folder">The folder that it is written to.</param>
    public static string ToJson(RunRecord run, IReadOnlyDictionary<string, string[]?> values, IReadOnlyCollection<Option> options,
        IReadOnlyCollection<string> usual, string folder)
    {
        JsonObject all = [];
        foreach (Option option in options)
        {
            string[]? words = values[option.Name];
            if (words is not null && IsPath(option)) words = [.. words.Select(word => Path.GetRelativePath(Path.GetFullPath(folder), Path.GetFullPath(word)))];
            all[option.Name] = words switch
            {
                null => null,
                [] => true,
                [var word] when !option.ValueType.IsArray => Node(word, option),
                _ => new JsonArray([.. words.Select(word => (JsonNode)word)]),
            };
        }

        JsonArray defaults = [.. usual.Where(name => values[name] is not null).Select(name => (JsonNode)name)];
        JsonObject document = new() { [AboutKey] = About, [RunIdKey] = run.RunId, [VersionKey] = run.Version, [OptionsKey] = all, [UsualKey] = defaults };
        return document.ToJsonString(new JsonSerializerOptions(JsonStyle.Indented) { DefaultIgnoreCondition = default }) + "\n";
    }

    /// <summary>The words of a command line with the options of a document, but for those that it is not to give.</summary>
    /// <param name="path">The document.</param>
    /// <param name="options">The options that it may have.</param>
    /// <param name="given">Options that are given beside it, which win.</param>
    /// <exception cref="RbeFileException">It cannot be read, has a key that is no option, or a value of a kind that the option does not take.</exception>
    public static List<string> Words(string path, IReadOnlyCollection<Option> options, Func<Option, bool> given)
    {
        JsonElement root = JsonFile.Object(path, "the run.json of a run", MostBytes);
        foreach (JsonProperty key in root.EnumerateObject().Where(key => key.Name is not (AboutKey or RunIdKey or VersionKey or OptionsKey
            or UsualKey)))
        {
            throw new RbeFileException(path, $"has the key {DataRows.Quoted(key.Name)}, and \"{OptionsKey}\" is where options stand. Move it "
                + "there, or leave it out.");
        }

        if (!root.TryGetProperty(OptionsKey, out JsonElement all) || all.ValueKind != JsonValueKind.Object)
        {
            throw new RbeFileException(path, $"has no object \"{OptionsKey}\". Give the run.json that finetune wrote, "
                + $"or {{\"{OptionsKey}\": {{\"--steps\": 100}}}}.");
        }

        HashSet<string> usual = UsualOf(path, root);
        List<string> words = [];
        foreach (JsonProperty entry in all.EnumerateObject())
        {
            Option option = options.FirstOrDefault(option => option.Name == entry.Name || option.Aliases.Contains(entry.Name))
                ?? throw new RbeFileException(path, $"has the option {DataRows.Quoted(entry.Name)}, which finetune does not take from a file. Look at finetune "
                    + "--help for its name.");
            if (!given(option) && !(usual.Contains(entry.Name) && IsDefault(option, entry.Value))) words.AddRange(WordsOf(path, option, entry.Value));
        }

        return words;
    }

    // Names of options that were not given: what they are by default is written, and is no word of the command line here either.
    private static HashSet<string> UsualOf(string path, JsonElement root)
    {
        if (!root.TryGetProperty(UsualKey, out JsonElement names)) return [];
        return names.ValueKind == JsonValueKind.Array && names.EnumerateArray().All(name => name.ValueKind == JsonValueKind.String)
            ? [.. names.EnumerateArray().Select(name => name.GetString()!)]
            : throw new RbeFileException(path, $"gives \"{UsualKey}\" {DataRows.Quoted(names.GetRawText())}, and a list of names of options is needed. "
                + "Write one, or leave it out.");
    }

    private static bool IsDefault(Option option, JsonElement value) => option.HasDefaultValue
        && Convert.ToString(option.GetDefaultValue(), CultureInfo.InvariantCulture) is { } text
        && text == (value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText());

    // With the value in the same word, so that no value is taken for an option.
    private static IEnumerable<string> WordsOf(string path, Option option, JsonElement value)
    {
        bool flag = option.ValueType == typeof(bool);
        return value.ValueKind switch
        {
            JsonValueKind.Null => [],
            JsonValueKind.True or JsonValueKind.False when flag => value.GetBoolean() ? [option.Name] : [],
            JsonValueKind.String or JsonValueKind.Number when !flag => Word(value) is { Length: > 0 } word ? [$"{option.Name}={word}"] : [option.Name, ""],
            JsonValueKind.Array when option.ValueType.IsArray && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) =>
                value.EnumerateArray().Select(item => $"{option.Name}={Word(item)}"),
            _ => throw new RbeFileException(path, $"gives {option.Name} {DataRows.Quoted(value.GetRawText())}, and "
                + (flag ? "true or false" : option.ValueType.IsArray ? "a list of texts" : "a number or a text") + " is needed. Write one, or null for none."),
        };

        string Word(JsonElement item)
        {
            string text = item.ValueKind == JsonValueKind.String ? item.GetString()! : item.GetRawText();
            return IsPath(option) && text.Length > 0
                ? Path.GetRelativePath(".", Path.GetFullPath(Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, text))) : text;
        }
    }

    private static bool IsPath(Option option) => s_paths.Contains(option.HelpName);

    // Numbers as such, with their digits as they were given.
    private static JsonNode Node(string word, Option option)
    {
        Type type = Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType;
        if (!type.IsPrimitive) return word;
        try
        {
            return JsonNode.Parse(word) is { } node && node.GetValueKind() == JsonValueKind.Number ? node : word;
        }
        catch (JsonException)
        {
            return word;
        }
    }
}
