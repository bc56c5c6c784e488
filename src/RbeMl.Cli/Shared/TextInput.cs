using System.CommandLine;
using RbeMl.Text;

namespace RbeMl.Cli;

/// <summary>The options of all verbs that read texts: which bytes are a text.</summary>
/// <param name="texts">What is read, for the help page.</param>
internal sealed class TextInput(string texts = "the text files")
{
    /// <summary>What stands for standard input where texts are named.</summary>
    public const string Standard = "-";

    /// <summary>What messages and results call it.</summary>
    public const string StandardName = "standard input";

    private readonly Option<string> _encoding = Encoding(texts);
    private readonly Option<bool> _lossy =
        new("--lossy") { Description = "Read texts that are not quite of their encoding: bytes that do not belong there become U+FFFD." };

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [_encoding, _lossy];

    /// <summary>What a source of texts is called: its file, or standard input.</summary>
    public static string NameOf(string given) => given == Standard ? StandardName : given;

    /// <summary>Reads the options.</summary>
    public TextOptions Read(ParseResult result) => new() { Encoding = result.GetValue(_encoding)!, Lossy = result.GetValue(_lossy) };

    private static Option<string> Encoding(string texts)
    {
        Option<string> option =
            new("--encoding")
            {
                Description = $"Encoding of {texts}: utf-8, utf-16, utf-16le, utf-16be, latin1, windows-1252 and others. A byte order mark is skipped.",
                HelpName = "name",
                DefaultValueFactory = _ => TextOptions.Default.Encoding,
            };
        option.Validators.Add(result =>
        {
            try
            {
                if (result.Tokens.Count > 0) new TextOptions { Encoding = result.Tokens[^1].Value }.Check();
            }
            catch (InvalidSettingException error)
            {
                result.AddError("--" + error.Message);
            }
        });
        return option;
    }
}
