namespace RbeMl.Cli.Output;

/// <summary>What columns of several tables mean.</summary>
internal static class Meanings
{
    public const string Error = "size of the difference from the original weights, for theirs being 1.";

    public const string Floor =
        "the least error that so many bits a weight can give on independent Gaussian weights (Shannon). Errors below it are of weights with a pattern.";

    public const string Weight = "what the compressed matrices take, for each of their weights.";

    public const string Parameter =
        "what the whole model takes, embeddings, biases and LayerNorms too, for each number that it would have dense. The bits a weight "
            + "of inspect and compress count compressed matrices alone.";

    public const string Alphas = "share of the energy that the basis functions carry by themselves.";

    public const string NoError = "the file does not say. --reference <weights> measures errors anew.";
}
