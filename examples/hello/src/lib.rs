//! The smallest function: it answers whoever asks, and says who the mesh proved them to be.

use weft_sdk::{Error, Request, Response};

fn hello(request: Request) -> Result<Response, Error> {
    let principal = request.principal().unwrap_or("nobody the mesh knows");
    Ok(Response::new(200).with_text(format!("hello from weft\nyou are {principal}\n")))
}

weft_sdk::function!(hello);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_its_caller() {
        let response =
            hello(Request::get("/").with_header("x-weft-principal", "spiffe://weft.local/ns/default/sa/dev"));
        assert!(response.unwrap().text().unwrap().ends_with("/sa/dev\n"));
    }
}
