using RbeMl.Text;

namespace RbeMl.Models;

/// <summary>A model file's content: the model and, where it has one, its tokenizer.</summary>
/// <param name="Model">The model.</param>
/// <param name="Tokenizer">Its tokenizer, or null. It may know more ids than the model: a text that needs one of them is refused when it is used.</param>
public sealed record ModelBundle(TransformerModel<float> Model, ITokenizer? Tokenizer) : IDisposable
{
    /// <summary>The training run that wrote the file; null when it does not say. A model that is trained on no longer has it.</summary>
    public RunMark? Run { get; init; }

    /// <summary>How the model, if it is an encoder, makes a vector of a text; null for a language model. It is the model's unless given.</summary>
    public EncoderSettings? Encoder { get; init; } = Model.Encoder;

    /// <summary>Why the tokenizer that came with the model cannot be read, in a sentence; null when it was read, or when there is none.</summary>
    public string? TokenizerProblem { get; init; }

    /// <summary>The tokenizer, for what needs text.</summary>
    /// <param name="setting">What gives the text, for the message.</param>
    /// <param name="value">Its value.</param>
    /// <param name="model">What the message calls the model.</param>
    /// <param name="mend">What to do without a tokenizer.</param>
    /// <exception cref="InvalidSettingException">There is none, or it cannot be read; the message says why.</exception>
    public ITokenizer RequireTokenizer(string setting, object? value, string model, string mend) =>
        Tokenizer ?? throw MissingTokenizer(setting, value, model, TokenizerProblem, mend);

    internal static InvalidSettingException MissingTokenizer(string setting, object? value, string model, string? problem, string mend) =>
        new(setting, value, problem is null ? $"{model} has no tokenizer, so it cannot read text; {mend}"
            : $"{model} has a tokenizer that cannot be read, so it cannot read text; {mend} ({problem})");

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();
}
