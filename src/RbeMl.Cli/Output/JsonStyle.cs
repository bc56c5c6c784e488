using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace RbeMl.Cli.Output;

/// <summary>How verbs write JSON: names in camel case, texts as they are, and nothing where there is nothing to say.</summary>
internal static class JsonStyle
{
    /// <summary>Over many lines, for people too.</summary>
    public static JsonSerializerOptions Indented { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
    };

    /// <summary>The same, with values of enumerations as words.</summary>
    public static JsonSerializerOptions Words { get; } = new(Indented) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) } };
}
